"""A search needs no home directory, keeps its temporary files private, and removes them."""

import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]


@pytest.fixture
def temporary():
    """Return an empty directory with a short name, since Ray has sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="t."))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def bare(tmp_path, temporary):
    """Return an environment without a home directory and with a long name for temporary files."""
    long = tmp_path / ("long-" * 20)
    long.mkdir()
    return {
        "HOME": "/proc/nonexistent",
        "RAY_AUTH_TOKEN_PATH": "/nonexistent/token",
        "RAY_TMPDIR": str(temporary),
        "TMPDIR": str(long),
        "TUNE_ODE_CACHE": "",
        "XDG_CACHE_HOME": "",
        "XDG_CONFIG_HOME": "",
        "XDG_DATA_HOME": "",
    }


def test_a_search_without_a_home_leaves_no_temporary_files(
    tune_ode, run_folder, small, temporary, bare
):
    search = tune_ode("search", *small, *timed_trials(4), "--trials", 3, **bare)
    run_folder.wait_for(lambda run: run.started(), process=search.process)
    (session,) = temporary.iterdir()
    assert stat.S_IMODE(session.stat().st_mode) == 0o700
    search.kill()
    assert session.exists()
    time.sleep(2)  # Ray's processes end

    search = tune_ode("resume", run_folder.folder, **bare)
    wait_until(lambda: search.descendants("TrialActor"), process=search.process)
    assert not session.exists(), "a killed search's files are removed by the next one"
    search.process.send_signal(signal.SIGTERM)
    status, _, err = search.wait()
    assert (status, err) == (130, "tune-ode: interrupted; to continue: tune-ode resume runs/run\n")
    assert list(temporary.iterdir()) == []

    out = tune_ode("resume", run_folder.folder, **bare).succeed()
    assert "trials" in out
    assert list(temporary.iterdir()) == []
    run_folder.check(3)
