"""A search goes on while other programs use up the machine's memory."""

import contextlib
import subprocess
import sys

import pytest

from tests.end_to_end.conftest import timed_trials

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
GB = 2**30
HEADROOM = 4 * GB
# writes to each page, then waits for its standard input to close
PROGRAM = "import sys; b = bytearray({size}); b[::4096] = b'1' * len(b[::4096]); sys.stdin.read()"


def memory():
    """Return the total and the used memory in bytes, as Ray's memory monitor measures them."""
    with open("/proc/meminfo") as file:
        values = {key: int(value.split()[0]) * 1024 for key, value in (s.split(":") for s in file)}
    return values["MemTotal"], values["MemTotal"] - values["MemAvailable"]


@contextlib.contextmanager
def other_program(size):
    """Run a program that uses `size` bytes of memory."""
    command = [sys.executable, "-c", PROGRAM.format(size=size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as program:
        try:
            yield
        finally:
            program.kill()


def test_trials_that_are_killed_for_lack_of_memory_restart(tune_ode, run_folder, small):
    total, used = memory()
    if total - used < 3 * HEADROOM:
        pytest.skip("less memory than the test needs")
    options = (*small, *timed_trials(15), "--scheduler", "none", "--trials", 2)
    threshold = round((used + HEADROOM) / total, 3)
    search = tune_ode("search", *options, RAY_memory_usage_threshold=str(threshold))
    run_folder.wait_for(lambda run: len(run.started()) == 2, process=search.process)
    with other_program(int(threshold * total) - memory()[1] + GB):
        run_folder.wait_for(lambda run: run.results(), process=search.process)
    out = search.succeed(timeout=300)
    assert "memory is short: the process of trial 000" in out
    assert "it restarts in 10 s" in out
    run_folder.check(2)
    crashed = [result for result in run_folder.results().values() if result["crashes"]]
    assert crashed
    for result in crashed:
        reports = run_folder.reports(result["trial_id"])
        assert result["outcome"] == "completed"
        assert {report["attempt"] for report in reports} >= {1, 2}, "it continued"
        assert [report["epoch"] for report in reports] == sorted(
            {report["epoch"] for report in reports}
        )
