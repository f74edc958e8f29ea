"""The study of a search: in PostgreSQL, and as Optuna's dashboard shows it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
PASSWORD = "TUNE_ODE_STORAGE_PASSWORD"


def test_a_killed_search_with_its_study_in_postgresql(tune_ode, run_folder, small, postgresql):
    """It is resumed, and the password is neither shown nor kept, wherever it came from."""
    password = postgresql.password
    with_password = ("--storage", postgresql.url.replace("+psycopg", ""))
    resume = ("resume", run_folder.folder)
    kept = 0
    for command in (("search", *small, *timed_trials(2), "--trials", 8), resume):
        driver = tune_ode(*command, *with_password)
        run_folder.wait_for(
            lambda run, kept=kept: len(run.finished()) > kept, process=driver.process
        )
        time.sleep(0.5)
        assert password not in driver.kill()
        kept = len(run_folder.finished())
        status, out, err = tune_ode(*resume).wait()
        assert (status, out) == (2, "")
        assert PASSWORD in err
    finished = run_folder.finished()
    tune_ode(*resume, **{PASSWORD: password}).succeed()
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(8, postgresql.url)
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
