"""A process group that is told to end leaves runs that can be resumed, and says how.

A terminal sends Ctrl-C and SIGHUP, and many supervisors SIGTERM, to all processes of a group.
"""

import os
import shutil
import signal
import time
from itertools import cycle

import pytest

from tests.end_to_end.conftest import RunReader, timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
SMALL = ("--fix", "model.width=16", "--fix", "solver.method=euler")


@pytest.fixture
def commands(finished_search, tmp_path):
    """Return the arguments of each command, its run, and the command that resumes it."""
    runs = tmp_path / "runs"
    few = ("--trials", 2, *timed_trials(4), "--no-calibrate")
    compare = ("--dataset", "digits", "--cases", "euler:adjoint", "--epochs", 4)
    return {
        "search": (("search", *SMALL, *few), runs / "search", "tune-ode resume runs/search"),
        "train": (
            ("train", *SMALL, "--fix", "training.epochs=8"), runs / "train",
            "tune-ode resume runs/train",
        ),
        "confirm": (("confirm", runs / "run", "--top", 1, "--seeds", 2), runs / "run" / "confirm",
                    "tune-ode confirm runs/run"),
        "compare": (("compare", *compare), runs / "compare", "tune-ode resume runs/compare"),
        "simulate": (("simulate", runs / "run", "--repetitions", 1000),
                     tmp_path / "simulations" / "simulate", None),
    }  # fmt: skip


@pytest.fixture
def interrupted(tune_ode, commands):
    """Return a function that starts all commands, signals each at its moment, and checks its end.

    Yields the name of each command with its run and its error.
    """

    def interrupted(moment, *, resumed=False):
        started, numbers = {}, cycle(SIGNALS)
        for name, (arguments, run, _) in commands.items():
            named = () if name == "confirm" else ("--name", name)
            if resumed and name == "simulate":
                named = (*named, "--repetitions", 2)
            elif resumed and name != "confirm":
                arguments, named = ("resume", run), ()
            started[name] = tune_ode(*arguments, *named)
        waiting = dict(started)
        while waiting:
            for name, command in list(waiting.items()):
                assert command.process.poll() is None, (name, command.process.communicate())
                if moment(name, commands[name][1]):
                    number = next(numbers)
                    os.killpg(command.process.pid, number)
                    if number == signal.SIGHUP:  # a terminal that closes repeats it
                        os.killpg(command.process.pid, number)
                    del waiting[name]
            time.sleep(0.02)
        for name, command in started.items():
            status, out, err = command.wait(60)
            assert status == 130, (name, out, err)
            assert err.startswith("tune-ode: interrupted"), (name, err)
            assert err.count("\n") == 1, (name, err)
            assert "SIGTERM" not in out, name
            yield name, commands[name][1], commands[name][2], err

    return interrupted


@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_at_the_start(interrupted, seconds):
    """While modules are imported and data are read; what exists can be resumed."""
    begin = time.monotonic()
    for name, run, resume, err in interrupted(lambda *_: time.monotonic() > begin + seconds):
        if name != "simulate" and (run / "run.json").exists():
            assert RunReader(run).manifest()["state"] != "finished"
            assert resume in err
        else:
            assert err == "tune-ode: interrupted\n"
            assert not run.exists()


def test_in_the_middle_and_at_the_end(interrupted):
    """Runs that were interrupted while they trained are resumed, and their reports interrupted."""

    def trains(name, run):
        if name == "simulate":
            text = [path.read_text() for path in run.parent.glob(".simulate*/*/run.json")]
            return len(text) == 4 and '"running"' not in "".join(text)
        return any(run.glob("trials/*/reports.jsonl"))

    def is_finished(name, run):
        if name == "simulate":
            return run.exists()
        return RunReader(run).manifest()["state"] == "finished"

    for name, run, resume, err in interrupted(trains):
        if name == "simulate":
            assert (run / "simulation.json").exists() == ("interrupted after" in err)
            shutil.rmtree(run, ignore_errors=True)
            continue
        assert RunReader(run).manifest()["state"] == "interrupted"
        assert err == f"tune-ode: interrupted; to continue: {resume}\n"
    for name, run, resume, err in interrupted(is_finished, resumed=True):
        assert is_finished(name, run)
        if name != "simulate":
            assert "tune-ode report runs/" in err or resume in err


def test_while_ray_starts_and_twice(tune_ode, commands):
    arguments, run, resume = commands["search"]
    error = f"tune-ode: interrupted; to continue: {resume}\n"
    search = tune_ode(*arguments, "--name", "search")
    wait_until(lambda: search.descendants("raylet"), process=search.process)
    os.killpg(search.process.pid, signal.SIGTERM)
    status, out, err = search.wait(60)
    assert (status, err) == (130, error), out
    assert "SIGTERM" not in out
    assert RunReader(run).manifest()["state"] == "interrupted"

    search = tune_ode("resume", run)
    wait_until(lambda: any(run.glob("trials/*/reports.jsonl")), process=search.process)
    search.interrupt()
    time.sleep(0.3)
    search.interrupt()  # does not wait
    assert search.wait(30)[::2] == (130, error)
    assert RunReader(run).manifest()["state"] == "interrupted"
