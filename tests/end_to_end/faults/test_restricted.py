"""A search as in a restrictive container: other user, no home, quota, read-only, little memory."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UID = 12345
pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture
def restricted():
    """Return a function that runs a command in a directory through `deploy/restricted`."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can restrict a process like this: sudo, Linux, util-linux")
    # that of pytest is closed to other users
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Path(name).chmod(0o755)

        def run(*command):
            found = subprocess.run(
                [ROOT / "deploy" / "restricted", folder, "env", f"PYTHONPATH={ROOT}",
                 *command],
                capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable},
                timeout=200, check=False,
            )  # fmt: skip
            return found.returncode, found.stdout, found.stderr

        status, _, err = run("true")
        if status:
            pytest.skip(f"this machine does not permit namespaces or control groups: {err}")
        yield run, folder
    shutil.rmtree(Path(tempfile.gettempdir(), f"tune-ode-{UID}"), ignore_errors=True)


def test_a_search_runs_in_a_restrictive_container(restricted):
    run, folder = restricted
    search = (sys.executable, "-m", "tune_ode.cli", "search")
    small = ("--trials", "2", "--trial-seconds", "2s", "--fix", "model.width=16")
    status, out, err = run(*search, "--name", "run", *small)
    assert (status, err) == (0, ""), out
    manifest = json.loads((folder / "runs" / "run" / "run.json").read_text())
    assert manifest["state"] == "finished"
    assert manifest["hardware"]["cpus"] == 1
    assert (manifest["revision"] is not None) == (ROOT / ".git").exists()
    page = folder / "runs" / "run" / "report" / "index.html"
    assert page.stat().st_uid == UID


def test_a_read_only_checkout_names_the_remedy(restricted):
    run, folder = restricted
    (folder / "checkout").mkdir()
    shutil.copy(ROOT / "Makefile", folder / "checkout")
    shutil.copy(ROOT / "pyproject.toml", folder / "checkout")
    status, out, err = run("make", "--no-print-directory", "-C", "checkout", "search")
    assert status == 2
    assert "checkout is read-only and cannot get an environment" in err
    assert out == ""
