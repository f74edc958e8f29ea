"""The shell completes data sets, spaces, recipes, runs and trials, fast and without errors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tune_ode.cli import complete

ROOT = Path(__file__).parents[3]
RUN = ROOT / "tests" / "data" / "run-of-12"


@pytest.fixture(autouse=True)
def _with_a_run(working_directory, tmp_path):
    shutil.copytree(RUN, tmp_path / "runs" / "digits")


@pytest.mark.parametrize(
    ("find", "incomplete", "found"),
    [
        (complete.datasets, "mn", "mnist"),
        (complete.datasets, "", "folder:"),
        (complete.spaces, "q", "quick"),
        (complete.recipes, "cl", "classic"),
        (complete.runs, "dig", "digits"),
        (complete.runs, "lat", "latest"),
        (complete.runs, "runs/", "runs/digits"),
        (complete.trials, "dig", "digits"),
        (complete.trials, "digits:", "digits:0003"),
        (complete.trials, "latest:b", "latest:best"),
        (complete.configurations, "fa", "fast"),
        (complete.configurations, "digits:", "digits:0012"),
        (complete.starts, "fa", "fast"),
        (complete.starts, "dig", "digits"),
    ],
)
def test_values_are_found(find, incomplete, found):
    assert found in dict(find(incomplete))


@pytest.mark.parametrize(
    "incomplete",
    ["s3://bucket/", "s3://bucket/run:", "nothing:", "nowhere/", "runs/digits/run.json/"],
)
def test_what_cannot_be_listed_has_no_values(incomplete):
    assert complete.trials(incomplete) == []


def bash(*words):
    """Return what bash gets for the last of the words, which it has split at : and =."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True, text=True, check=False,
        env=os.environ | {
            "PYTHONPATH": str(ROOT), "_TUNE_ODE_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(["tune-ode", *words]), "COMP_CWORD": str(len(words)),
        },
    )  # fmt: skip
    *found, loaded = done.stdout.splitlines()
    assert (done.stderr, loaded) == ("", "[]"), "no errors, and nothing that is slow to import"
    return found


CODE = (
    "import sys; from tune_ode.cli.main import run\n"
    "try: run([])\n"
    "finally: print(sorted({'ray', 'torch', 'pandas', 'optuna'} & sys.modules.keys()))"
)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["search", "--dataset", "mn"], ["mnist"]),
        (["search", "--dataset", "=", "fash"], ["fashion-mnist"]),
        (["predict", "digits", ":", "001"], ["0010", "0011", "0012"]),
        (["predict", "runs/digits", ":"], None),
        (["rank", "l"], ["latest"]),
    ],
)
def test_bash_gets_what_replaces_its_last_word(words, found):
    completed = bash(*words)
    if found is None:
        assert {"best", "0001"} <= set(completed)
    else:
        assert completed == found


def test_a_shell_completes_after_sourcing_its_script(tmp_path):
    """The script is what `--install-completion` installs."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "tune-ode"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tune_ode.cli "$@"\n')
    program.chmod(0o755)
    script = (
        'source <(_TUNE_ODE_COMPLETE=source_bash tune-ode); COMP_WORDS=(tune-ode rank di); '
        'COMP_CWORD=2; $(complete -p tune-ode | sed "s/.*-F //; s/ .*//") tune-ode; '
        'echo "${COMPREPLY[@]}"'
    )  # fmt: skip
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
        env=os.environ | {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        },
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("digits\n", "")
