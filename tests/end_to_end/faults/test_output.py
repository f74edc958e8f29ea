"""A search in an environment that is hostile to its output ends with its report."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long
HOSTILE = {
    "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
    "TERM": "dumb", "COLUMNS": "5", "MPLBACKEND": "nonsense",
}  # fmt: skip


def test_a_search_whose_reader_exits_ends_with_its_report(tmp_path, run_folder, small):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: Nonexistent\n")
    arguments = ["search", *small, "--trials", "1", "--trial-seconds", "2s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tune_ode.cli", *arguments], cwd=tmp_path, env=os.environ | HOSTILE,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline().startswith(b"data ")
    process.stdout.close()
    error = process.stderr.read()
    assert error == b"tune-ode: the reader of the output has exited; going on without output\n"
    assert process.wait() == 0
    assert run_folder.manifest()["state"] == "finished"
    assert (run_folder.folder / "report" / "timeline.png").exists()
