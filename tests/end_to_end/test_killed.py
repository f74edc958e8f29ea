"""A resumed search completes after any process was killed or the disk was full."""

import contextlib
import os
import random
import shutil
import signal
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


def kill_and_resume(tune_ode, run, *options, kills, trials, **environment):
    """Kill a search at random moments, then let it end; finished results never change."""
    rng = random.Random(0)
    command = ("search", *options, *timed_trials(2), "--trials", trials)
    kept = {}
    for _ in range(kills):
        driver = tune_ode(*command, **environment)
        enough = len(kept) + rng.randint(0, 1)
        run.wait_for(lambda run, enough=enough: len(run.finished()) >= enough)
        time.sleep(rng.uniform(0, 2))
        assert driver.process.poll() is None, "the search ended before it was killed"
        driver.kill()
        assert run.finished().items() >= kept.items()
        kept = run.finished()
        if (run.folder / "run.json").exists():
            command = ("resume", run.folder)
    tune_ode(*command, **environment).succeed(timeout=400)
    assert run.finished().items() >= kept.items()


def test_a_driver_killed_at_random_moments(tune_ode, run_folder, small):
    """tests/tune_ode/tuning kills searches of instant trials more often; these trials train."""
    kill_and_resume(tune_ode, run_folder, *small, kills=4, trials=12)
    run_folder.check(12)


def test_a_driver_killed_with_its_study_in_postgresql(tune_ode, run_folder, small, postgresql):
    options = (*small, "--storage", postgresql.url_without_password)
    environment = {PASSWORD: postgresql.password}
    kill_and_resume(tune_ode, run_folder, *options, kills=2, trials=8, **environment)
    run_folder.check(8, postgresql.url)
    assert not (run_folder.folder / "study.log").exists()
    for file in run_folder.folder.rglob("*"):
        assert not file.is_file() or postgresql.password.encode() not in file.read_bytes()


def test_a_password_in_the_url_is_neither_shown_nor_kept(tune_ode, run_folder, small, postgresql):
    url = postgresql.url.replace("+psycopg", "")
    options = (*small, *timed_trials(1), "--trials", 2, "--storage", url)
    out = tune_ode("search", *options).succeed()
    assert postgresql.password not in out
    assert postgresql.password not in (run_folder.folder / "run.json").read_text()
    status, _, err = tune_ode("resume", run_folder.folder, "--trials", 3).wait()
    assert status == 2
    assert PASSWORD in err
    resume = ("resume", run_folder.folder, "--trials", 3, "--storage", url)
    assert tune_ode(*resume).wait()[0] == 0
    run_folder.check(3, postgresql.url)


def test_trial_processes_killed_at_random_moments(tune_ode, run_folder, small):
    rng = random.Random(0)
    driver = tune_ode("search", *small, *timed_trials(2), "--trials", 16)
    for _ in range(6):
        wait_until(lambda: trial_processes(driver), process=driver.process)
        time.sleep(rng.uniform(0, 3))
        assert driver.process.poll() is None, "the search ended before its trials were killed"
        if processes := trial_processes(driver):  # none may be left after the previous kill
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(processes), signal.SIGKILL)
    driver.succeed(timeout=400)
    run_folder.check(16)
    crashed = [result for result in run_folder.results().values() if result["crashes"]]
    assert crashed
    for result in crashed:
        assert (result["outcome"] == "failed") == (result["crashes"] > 3)
        if result["outcome"] == "completed":
            reports = run_folder.reports(result["trial_id"])
            epochs = [report["epoch"] for report in reports if report["epoch"] % 1 == 0]
            assert reports[-1]["train_seconds"] >= 2, "it trained to its end"
            assert epochs == [*range(1, int(reports[-1]["epoch"]) + 1)]


def trial_processes(driver):
    return driver.descendants("TrialActor")


def test_a_search_whose_ray_node_was_killed_ends_and_can_be_resumed(tune_ode, run_folder, small):
    search = tune_ode("search", *small, *timed_trials(15), "--scheduler", "none", "--trials", 7)
    run_folder.wait_for(lambda run: len(run.finished()) >= 1)
    (raylet,) = search.descendants("raylet/raylet")
    os.kill(raylet, signal.SIGKILL)
    status, _, err = search.wait(timeout=120)
    assert (status, err.count("\n")) == (1, 1)
    assert "Ray's node died; to continue: tune-ode resume" in err
    finished = run_folder.finished()
    assert len(finished) < 7
    tune_ode("resume", run_folder.folder).succeed()
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(7)


@pytest.fixture
def small_disk(tmp_path):
    """Return a directory on a file system of 3 MB."""
    folder = tmp_path / "runs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no small file system: mounting one requires root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_search_on_a_full_disk_is_resumed_after_freeing_space(
    tune_ode, run_folder, small, small_disk
):
    ballast = small_disk / "ballast"
    search = tune_ode("search", *small, *timed_trials(2), "--trials", 8)
    run_folder.wait_for(lambda run: len(run.finished()) >= 2)
    with (
        open(ballast, "wb", buffering=0) as file,
        pytest.raises(OSError, match="No space left"),
    ):
        while True:
            file.write(bytes(2**12))
    status, _, err = search.wait(timeout=120)
    assert status == 1
    assert err.count("\n") == 1
    assert "tune-ode resume" in err
    finished = run_folder.finished()
    ballast.unlink()
    tune_ode("resume", run_folder.folder).succeed()
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(8)


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
