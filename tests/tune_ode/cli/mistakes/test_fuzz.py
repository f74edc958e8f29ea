"""`search --check` accepts or rejects any options, with at most one line of error and no files."""

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tune_ode.cli.mistakes.option_fuzzer import OptionFuzzer
from tune_ode.cli.main import run
from tune_ode.tuning import launch
from tune_ode.tuning.search.local_backend import run_in_process

TIMEOUT = 20
"""Seconds per command; most take a hundredth."""


@pytest.fixture
def check(tmp_path, capsys):
    """Return a function that runs `search --check` in this process and returns its status."""

    def timeout(*_):
        raise AssertionError(f"no exit within {TIMEOUT} s")

    signal.signal(signal.SIGALRM, timeout)

    def check(arguments, files):
        write(files)
        signal.alarm(TIMEOUT)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(launch, "_search", lambda *_, **__: pytest.fail("it started"))
                status = run(["search", *arguments, "--check"])
        finally:
            signal.alarm(0)
        printed = capsys.readouterr()
        assert_rejected_or_accepted(status, printed.out, printed.err)
        assert {path.name for path in tmp_path.iterdir()} == files.keys(), "it wrote something"
        for name in files:
            (tmp_path / name).unlink()
        return status

    return check


def write(files):
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")


def assert_rejected_or_accepted(status, out, err):
    assert status in (0, 2)
    assert "Traceback" not in out + err
    if status == 2:
        assert err.startswith("tune-ode: ")
        assert err.count("\n") == 1
    else:
        assert "search " in out


def check_all(check, seeds):
    """Check the options of each seed; return the number of accepted and of rejected ones."""
    statuses = {0: 0, 2: 0}
    for seed in seeds:
        arguments, files = OptionFuzzer(seed).options()
        try:
            statuses[check(arguments, files)] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}: {arguments}\n" + "\n".join(files.values()))
            raise
    return statuses


def accepted_options(check, count):
    """Return the first accepted options."""
    options = (OptionFuzzer(seed).options() for seed in itertools.count(1000))
    accepted = (
        (arguments, files)
        for arguments, files in options
        if not any("check" in text for text in files.values()) and check(arguments, files) == 0
    )
    return list(itertools.islice(accepted, count))


def small_search(arguments, number):
    small = ["--trials", "2", "--time-budget", "30s", "--trial-seconds", "2"]
    small += ["--train-images", "300", "--name", f"run{number}", "--no-calibrate"]
    return ["search", *arguments, *small]


def assert_searched(status, number):
    trials = Path("runs") / f"run{number}" / "trials"
    outcomes = [json.loads(file.read_text())["outcome"] for file in trials.glob("*/outcome.json")]
    # interrupted: a busy machine may exceed the time budget
    assert {*outcomes} <= {"completed", "stopped", "diverged", "interrupted"}
    # without any report, since no point trained or the time was over, the search has failed
    assert status == (0 if any(trials.glob("*/reports.jsonl")) else 1)


def test_random_options_are_accepted_or_rejected(check):
    statuses = check_all(check, range(100))
    # both must be frequent for the test to be useful
    assert min(statuses.values()) > 20, statuses


@pytest.mark.long
def test_more_random_options_are_accepted_or_rejected(check):
    statuses = check_all(check, range(100, 300))
    assert min(statuses.values()) > 40, statuses


@pytest.mark.long
def test_accepted_options_can_be_searched(check, no_pictures, monkeypatch, capsys):
    """The trials run in this process, without Ray."""
    accepted = accepted_options(check, 8)
    monkeypatch.setattr(launch, "_run_on_ray", lambda search, *_, **__: run_in_process(search))
    for number, (arguments, files) in enumerate(accepted):
        write(files)
        status = run(small_search(arguments, number))
        assert "Traceback" not in "".join(capsys.readouterr()), (arguments, files)
        assert_searched(status, number)


@pytest.mark.long
def test_real_commands_agree(check, tmp_path):
    """A search, and the options of two seeds, as real commands."""

    def command(arguments):
        return subprocess.run(
            [sys.executable, "-m", "tune_ode.cli", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    for seed in (7, 10):  # rejected, accepted
        arguments, files = OptionFuzzer(seed).options()
        expected = check(arguments, files)
        write(files)
        done = command(["search", *arguments, "--check"])
        assert done.returncode == expected, (arguments, files, done.stderr)
        assert_rejected_or_accepted(done.returncode, done.stdout, done.stderr)
        assert {path.name for path in tmp_path.iterdir()} == files.keys(), "it wrote something"
        for name in files:
            (tmp_path / name).unlink()
    ((arguments, files),) = accepted_options(check, 1)
    write(files)
    done = command(small_search(arguments, 0))
    assert "Traceback" not in done.stdout + done.stderr
    assert_searched(done.returncode, 0)
