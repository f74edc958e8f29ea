"""`--check` of every command that starts work prints the plan and starts nothing."""

import shutil
from pathlib import Path

import pytest
import typer

from tests.factories import make_manifest
from tune_ode.cli.main import app
from tune_ode.records import MANIFEST, dumps
from tune_ode.tuning.options import SearchOptions

RUN = Path(__file__).parents[3] / "data" / "run-of-12"
WORKING = {"search", "resume", "train", "confirm", "compare", "simulate", "submit"}


@pytest.mark.parametrize("command", sorted(WORKING))
def test_every_command_that_starts_work_has_it(command):
    parameters = typer.main.get_command(app).commands[command].params
    assert "--check" in [name for parameter in parameters for name in parameter.opts]


@pytest.fixture
def folder(tmp_path):
    """A directory with an interrupted search."""
    shutil.copytree(RUN, tmp_path / "runs" / "digits")
    options = SearchOptions(trials=20).resolved().model_dump(mode="json")
    manifest = make_manifest(state="interrupted", options=options, trial_seconds=10.0)
    (tmp_path / "runs" / "digits" / MANIFEST).write_text(dumps(manifest.to_json()))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        (["search", "--trials", "3"], "budget    3 trials"),
        (["train", "fast"], "run       runs/digits-train"),
        (["resume", "latest", "--trials", "30"], "budget    30 trials"),
        (["compare", "--dataset", "digits"], "run       runs/digits-compare"),
        (["simulate", RUN, "--time-budget", "2h"], "simulate  "),
    ],
)
def test_it_starts_nothing(tune_ode, folder, arguments, plan):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    status, out, err = tune_ode(*arguments, "--check")
    assert (status, err) == (0, "")
    assert plan in out
    lock = folder / "runs" / "digits" / ".lock"
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path != lock}
    runs = folder / "runs" / "digits"
    assert {**after, runs: 0} == {**before, runs: 0}
