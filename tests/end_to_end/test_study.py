"""The study of a search: in PostgreSQL, and as Optuna's dashboard shows it."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
PASSWORD = "TUNE_ODE_STORAGE_PASSWORD"


def test_a_killed_search_with_its_study_in_postgresql(tune_ode, run_folder, small, postgresql):
    """It is resumed, and the password is neither shown nor kept, wherever it came from."""
    password = postgresql.password
    options = (
        *small,
        *timed_trials(2),
        "--trials",
        6,
        "--storage",
        postgresql.url_without_password,
    )
    search = tune_ode("search", *options, **{PASSWORD: password})
    run_folder.wait_for(lambda run: run.finished(), process=search.process)
    out = search.kill()
    finished = run_folder.finished()
    resume = ("resume", run_folder.folder)
    status, _, err = tune_ode(*resume).wait()
    assert status == 2
    assert PASSWORD in err
    out += tune_ode(*resume, "--storage", postgresql.url.replace("+psycopg", "")).succeed()
    assert password not in out
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(6, postgresql.url)
    assert not (run_folder.folder / "study.log").exists()
    for file in run_folder.folder.rglob("*"):
        assert not file.is_file() or password.encode() not in file.read_bytes()


def test_optuna_dashboard_opens_the_study_of_a_run(finished_search):
    here = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    program = shutil.which("optuna-dashboard", path=here)
    if program is None:
        pytest.skip("no optuna-dashboard: pip install 'tune-ode[dashboard]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    study = finished_search.folder / "study.log"
    command = [program, study, "--host", "127.0.0.1", "--port", port]
    dashboard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: get(f"http://127.0.0.1:{port}/dashboard"))
        assert finished_search.manifest()["study"] in get(f"http://127.0.0.1:{port}/api/studies")
    finally:
        dashboard.terminate()
        dashboard.wait()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as page:
            return page.read().decode()
    except OSError:
        return None
