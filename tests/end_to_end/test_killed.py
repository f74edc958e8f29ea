"""Whatever is killed or fills up under a real search, a resume ends it as if nothing had been."""

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

from tests.end_to_end.conftest import by_the_clock

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
PASSWORD = "TUNE_ODE_STORAGE_PASSWORD"
RANDOM = ("--sampler", "random", "--trial-seconds", "5s")
BRIEF = (*RANDOM, "--fix", "training.epochs=3")


def kill_and_resume(tune_ode, run, kills, dice, *options, trials=14, **environment):
    """Kill a search so many times at random moments, then let it end."""
    command = ("search", *options, "--trials", trials)
    kept = {}
    for _ in range(kills):
        driver = tune_ode(*command, **environment)
        enough = len(kept) + dice.randint(0, 1)
        run.wait_for(lambda run, enough=enough: len(run.finished()) >= enough)
        time.sleep(dice.uniform(0, 2))
        assert driver.process.poll() is None, "the search ended before it was killed"
        driver.kill()
        assert run.finished().items() >= kept.items()
        kept = run.finished()
        if (run.folder / "run.json").exists():
            command = ("resume", run.folder)
    status, _, err = tune_ode(*command, **environment).wait(timeout=400)
    assert (status, err) == (0, "")
    assert run.finished().items() >= kept.items()


def test_a_driver_killed_at_random_moments(tune_ode, run_folder, small):
    """Ten kills of 30 instant trials are in tests/tune_ode/tuning; these ones train."""
    kill_and_resume(tune_ode, run_folder, 4, random.Random(0), *small, *by_the_clock(2))
    run_folder.check(14)


def test_a_driver_killed_with_its_study_in_postgresql(tune_ode, run_folder, small, postgresql):
    options = (*small, *by_the_clock(2), "--storage", postgresql.url_without_password)
    environment = {PASSWORD: postgresql.password}
    kill_and_resume(tune_ode, run_folder, 3, random.Random(0), *options, **environment)
    run_folder.check(14, postgresql.url)
    assert not (run_folder.folder / "study.log").exists()
    for file in run_folder.folder.rglob("*"):
        assert not file.is_file() or postgresql.password.encode() not in file.read_bytes()


def test_a_password_in_the_url_is_neither_shown_nor_kept(tune_ode, run_folder, small, postgresql):
    url = postgresql.url.replace("+psycopg", "")
    status, out, err = tune_ode("search", *small, *BRIEF, "--trials", 2, "--storage", url).wait()
    assert (status, err) == (0, "")
    assert postgresql.password not in out
    assert postgresql.password not in (run_folder.folder / "run.json").read_text()
    status, _, err = tune_ode("resume", run_folder.folder, "--trials", 3).wait()
    assert status == 2
    assert PASSWORD in err
    resume = ("resume", run_folder.folder, "--trials", 3, "--storage", url)
    assert tune_ode(*resume).wait()[0] == 0
    run_folder.check(3, postgresql.url)


def test_processes_of_trials_killed_at_ten_random_moments(tune_ode, run_folder, small):
    dice = random.Random(0)
    driver = tune_ode("search", *small, *by_the_clock(2), "--trials", 30)
    for _ in range(10):
        run_folder.wait_for(lambda _: driver.process.poll() is not None or alive(driver))
        time.sleep(dice.uniform(0, 3))
        assert driver.process.poll() is None, "the search ended before its trials were killed"
        if processes := alive(driver):  # a moment may find none, after one was killed
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(processes), signal.SIGKILL)
    status, _, err = driver.wait(timeout=400)
    assert (status, err) == (0, "")
    run_folder.check(30)
    lost = [outcome for outcome in run_folder.outcomes().values() if outcome["crashes"]]
    assert lost
    for outcome in lost:
        assert (outcome["outcome"] == "failed") == (outcome["crashes"] > 3)
        if outcome["outcome"] == "completed":
            lines = run_folder.reports(outcome["trial_id"])
            epochs = [line["epoch"] for line in lines if line["epoch"] % 1 == 0]
            assert lines[-1]["train_seconds"] >= 2, "it went to its end"
            assert epochs == [*range(1, int(lines[-1]["epoch"]) + 1)]


def alive(driver):
    return driver.trial_processes()


def test_a_killed_ray_node(tune_ode, run_folder, small):
    """A search whose node has died ends by itself, and says how to go on."""
    search = tune_ode("search", *small, *by_the_clock(15), "--scheduler", "none", "--trials", 7)
    run_folder.wait_for(lambda run: len(run.finished()) >= 1)
    (raylet,) = search.processes("raylet/raylet")
    os.kill(raylet, signal.SIGKILL)
    status, _, err = search.wait(timeout=120)
    assert (status, err.count("\n")) == (1, 1)
    assert "Ray's node died; to continue: tune-ode resume" in err
    finished = run_folder.finished()
    assert len(finished) < 7
    status, _, err = tune_ode("resume", run_folder.folder).wait()
    assert (status, err) == (0, "")
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(7)


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a file system of 3 MB."""
    folder = tmp_path / "runs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system of a small size: mounting one takes root's rights")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_made_free_again(tune_ode, run_folder, small, small_disk):
    ballast = small_disk / "ballast"
    search = tune_ode("search", *small, *by_the_clock(2), "--trials", 8)
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
    status, _, err = tune_ode("resume", run_folder.folder).wait()
    assert (status, err) == (0, "")
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(8)


def test_optuna_dashboard_opens_the_study_of_a_run(tune_ode, run_folder, small):
    here = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    program = shutil.which("optuna-dashboard", path=here)
    if program is None:
        pytest.skip("no optuna-dashboard: pip install 'tune-ode[dashboard]'")
    assert tune_ode("search", *small, *BRIEF, "--trials", 2).wait()[0] == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [program, run_folder.folder / "study.log", "--host", "127.0.0.1", "--port", port]
    dashboard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        run_folder.wait_for(lambda _: answers(f"http://127.0.0.1:{port}/dashboard"))
        studies = answers(f"http://127.0.0.1:{port}/api/studies")
        assert run_folder.manifest()["study"] in studies
    finally:
        dashboard.terminate()
        dashboard.wait()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as page:
            return page.read().decode()
    except OSError:
        return None
