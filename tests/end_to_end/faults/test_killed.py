"""A resumed search completes after any process was killed or the disk was full."""

import contextlib
import os
import random
import signal
import subprocess
import time

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]


def test_a_driver_killed_at_random_moments(tune_ode, run_folder, small):
    """tests/tune_ode/tuning kills searches of instant trials more often; these trials train."""
    rng = random.Random(0)
    command = ("search", *small, *timed_trials(2), "--trials", 8)
    kept = {}
    for _ in range(3):
        driver = tune_ode(*command)
        enough = len(kept) + rng.randint(0, 1)
        run_folder.wait_for(lambda run, enough=enough: len(run.finished()) >= enough)
        time.sleep(rng.uniform(0, 2))
        assert driver.process.poll() is None, "the search ended before it was killed"
        driver.kill()
        assert run_folder.finished().items() >= kept.items()
        kept = run_folder.finished()
        if (run_folder.folder / "run.json").exists():
            command = ("resume", run_folder.folder)
    tune_ode(*command).succeed(timeout=400)
    assert run_folder.finished().items() >= kept.items()
    run_folder.check(8)


def test_trial_processes_killed_at_random_moments(tune_ode, run_folder, small):
    rng = random.Random(0)
    options = (*timed_trials(2), "--scheduler", "none", "--trials", 10)
    driver = tune_ode("search", *small, *options)
    for _ in range(4):
        wait_until(lambda: trial_processes(driver), process=driver.process)
        time.sleep(rng.uniform(0, 3))
        assert driver.process.poll() is None, "the search ended before its trials were killed"
        if processes := trial_processes(driver):  # none may be left after the previous kill
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(processes), signal.SIGKILL)
    driver.succeed(timeout=400)
    run_folder.check(10)
    assert any(result["crashes"] for result in run_folder.results().values())
    for result in run_folder.results().values():
        assert (result["outcome"] == "failed") == (result["crashes"] > 3)
        if result["outcome"] == "completed":
            reports = run_folder.reports(result["trial_id"])
            last = reports[-1]
            assert {report["horizon"] for report in reports} == {last["horizon"]}
            trained = last["batches"] == last["horizon"] or last["train_seconds"] >= 2
            assert trained, "it trained to its end"


def trial_processes(driver):
    return driver.descendants("TrialActor")


def test_a_search_whose_ray_node_was_killed_ends_and_can_be_resumed(tune_ode, run_folder, small):
    search = tune_ode("search", *small, *timed_trials(15), "--scheduler", "none", "--trials", 5)
    run_folder.wait_for(lambda run: len(run.finished()) >= 1)
    (raylet,) = search.descendants("raylet/raylet")
    os.kill(raylet, signal.SIGKILL)
    status, _, err = search.wait(timeout=120)
    assert (status, err.count("\n")) == (1, 1)
    assert "Ray's node died; to continue: tune-ode resume" in err
    finished = run_folder.finished()
    assert len(finished) < 5
    tune_ode("resume", run_folder.folder).succeed()
    assert run_folder.finished().items() >= finished.items()
    run_folder.check(5)


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
    search = tune_ode("search", *small, *timed_trials(2), "--trials", 6)
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
    run_folder.check(6)
