"""A resume may change where and on what a run executes, not what it measures."""

import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import typer
from PIL import Image

from tests.tune_ode.conftest import Events, curve
from tune_ode.cli.app import app
from tune_ode.cli.options.definition import DEFINING_OPTIONS
from tune_ode.machine import resources
from tune_ode.process.limits import UsableCores
from tune_ode.records import Outcome, read_manifest
from tune_ode.replication import train as train_module
from tune_ode.tuning import launch
from tune_ode.tuning.search.local_backend import run_in_process
from tune_ode.worker.task import TrialEnd

INTERRUPTED = TrialEnd(outcome=Outcome.INTERRUPTED, reason="stop")
CONFIGURATION = ("--fix", "training.epochs=2", "--fix", "model.width=8")


@pytest.fixture
def images(tmp_path):
    """Return a directory of random images of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (10, 10), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets the number of CPU cores and GPUs of this machine."""

    def have(cpus, gpus=0):
        monkeypatch.setattr(resources, "usable_cores", lambda: UsableCores(cpus, cpus))
        monkeypatch.setattr(resources, "_gpus", lambda: gpus)

    have(4)
    return have


@pytest.fixture
def tasks(monkeypatch, machine, no_pictures):
    """Return the tasks of fake trainings; the first attempt of trial 0002 is interrupted."""
    monkeypatch.setenv("COLUMNS", "300")
    found = []

    def train(task, on_batch=None):
        found.append(task)
        interrupted = (task.trial_id, task.attempt) == ("0002", 1)
        yield from [INTERRUPTED] if interrupted else curve(task)

    class Training(Events):
        def __init__(self, task, **_):
            super().__init__(train(task))

    monkeypatch.setattr(
        launch, "_run_on_ray", lambda search, *_, **__: run_in_process(search, train)
    )
    monkeypatch.setattr(train_module, "TrainingProcess", Training)
    return found


@pytest.fixture
def search(tune_ode, tasks, images):
    """Interrupt a search in a directory of images; return its path."""

    def search(*options):
        options = ("--trials", 5, "--dataset", f"folder:{images}", *CONFIGURATION, *options)
        tune_ode("search", *options, "--name", "run")
        assert len(tasks) == 2
        tasks.clear()
        return "runs/run"

    return search


def test_a_run_goes_on_with_images_that_moved(tune_ode, search, tasks, images, tmp_path):
    run = search()
    images.rename(tmp_path / "moved")
    status, _, err = tune_ode("resume", run)
    assert status == 2
    assert "does not exist; pass --dataset folder:PATH" in err
    tune_ode("resume", run, "--dataset", f"folder:{tmp_path / 'moved'}")
    assert [task.trial_id for task in tasks] == ["0002", "0003", "0004", "0005"]
    assert {task.config["data"]["dataset"] for task in tasks} == {f"folder:{tmp_path}/moved"}
    tasks.clear()
    tune_ode("resume", run, "--trials", 6)
    assert [task.trial_id for task in tasks] == ["0006"], "the new path is kept"
    (tmp_path / "moved").rename(tmp_path / "again")
    tasks.clear()
    tune_ode("confirm", run, "--dataset", "folder:again", "--top", 1, "--seeds", 2)
    assert {task.config["data"]["dataset"] for task in tasks} == {f"folder:{tmp_path}/again"}


def test_defaults_are_derived_again_on_another_machine(tune_ode, search, tasks, machine):
    machine(cpus=4)
    run = search()
    machine(cpus=1, gpus=1)
    assert tune_ode("resume", run)[0] != 2
    assert {(task.device, task.threads) for task in tasks} == {("cuda", 1)}
    options = read_manifest(Path(run)).options
    derived = ("cpus_per_trial", "gpus_per_trial", "max_concurrent", "time_budget", "trial_seconds")
    assert {options[name] for name in derived} == {None}


@pytest.mark.parametrize(
    ("before", "options", "now", "remedy"),
    [
        ((4, 0), ("--max-concurrent", 2), (1, 0), ("--max-concurrent", 1)),
        ((4, 0), ("--cpus-per-trial", 4), (2, 0), ("--cpus-per-trial", 2)),
        ((4, 1), ("--gpus-per-trial", 0.5), (4, 0), ("--gpus-per-trial", 0)),
    ],
)
def test_the_remedy_for_a_smaller_machine_works(
    tune_ode, search, tasks, machine, before, options, now, remedy
):
    machine(*before)
    run = search(*options)
    machine(*now)
    status, _, err = tune_ode("resume", run)
    assert status == 2
    assert remedy[0] in err
    assert tune_ode("resume", run, *remedy)[0] != 2
    assert tasks


def test_a_training_goes_on_with_fewer_cores_and_moved_images(
    tune_ode, tasks, machine, images, tmp_path, monkeypatch
):
    def train(task, on_batch):
        tasks.append(task)
        yield INTERRUPTED

    monkeypatch.setattr(launch, "run_trial", train)
    tune_ode("train", "--dataset", f"folder:{images}", "--name", "run")
    images.rename(tmp_path / "moved")
    machine(cpus=3)
    tune_ode("resume", "runs/run", "--dataset", f"folder:{tmp_path / 'moved'}")
    assert [task.threads for task in tasks] == [4, 3]
    error = tune_ode("resume", "runs/run", "--max-concurrent", 1)[2]
    assert "--max-concurrent is not an option of `tune-ode train`" in error


def test_a_comparison_goes_on_with_fewer_cores_and_moved_images(
    tune_ode, tasks, machine, images, tmp_path
):
    cases = ("--cases", "euler:adjoint,rk4:adjoint", "--epochs", 2)
    tune_ode("compare", "--dataset", f"folder:{images}", *cases, "--name", "run")
    images.rename(tmp_path / "moved")
    moved = ("--dataset", f"folder:{tmp_path / 'moved'}")
    tune_ode("resume", "runs/run", *moved, "--cpus-per-trial", 2)
    assert [(task.trial_id, task.threads) for task in tasks] == [
        ("0001", 4),
        ("0002", 4),
        ("0002", 2),
    ]
    assert tune_ode("compare", *moved, *cases, "--name", "run")[0] == 0, "finished"


def test_a_data_directory_that_moved_is_found_by_its_variable(
    tune_ode, search, tasks, images, tmp_path, monkeypatch
):
    (tmp_path / "data").mkdir()
    run = search("--data-dir", "data")
    monkeypatch.setenv("TUNE_ODE_DATA", str(tmp_path / "new"))
    tune_ode("resume", run)
    assert {task.data_dir for task in tasks} == {str(tmp_path / "data")}
    tasks.clear()
    shutil.rmtree(tmp_path / "data")
    tune_ode("resume", run, "--trials", 6)
    assert {task.data_dir for task in tasks} == {str(tmp_path / "new")}


def test_what_defines_the_run_cannot_change(tune_ode):
    """Every option of a search can change, or is rejected with the reason."""
    commands = typer.main.get_command(app).commands
    given, kept = (
        {name for parameter in commands[command].params for name in parameter.opts}
        for command in ("search", "resume")
    )
    about_the_start = {"--config", "--check", "--name", "--output", "--calibrate"}
    assert given - kept - about_the_start <= DEFINING_OPTIONS
    for command in ("resume", "confirm"):
        for option in sorted(DEFINING_OPTIONS - {"--cases", "--epochs"}):
            status, _, err = tune_ode(command, "run", option, "x")
            assert status == 2
            assert f"{option} defines what a run measures, so {command} cannot change it" in err


@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_another_data_set_is_rejected(tune_ode, search, command):
    run = search()
    status, _, err = tune_ode(command, run, "--dataset", "digits")
    assert status == 2
    assert "only the path of an image folder can change" in err


def test_a_search_that_tried_all_points_is_finished(tune_ode, tasks, tmp_path):
    (tmp_path / "two.yaml").write_text("model.width: [8, 16]\n")
    options = ("--space", "two.yaml", "--sampler", "optuna.samplers:BruteForceSampler")
    _, out, _ = tune_ode("search", *options, "--trials", 6, "--name", "run")
    assert "the space has 2 points" in out
    _, out, _ = tune_ode("resume", "runs/run")
    assert "finished (the space is exhausted after 2 points)" in out
    assert [task.trial_id for task in tasks] == ["0001", "0002", "0002"]
    status, _, err = tune_ode("resume", "runs/run")
    assert (status, err.count("\n")) == (2, 1)
    assert "is finished (the space is exhausted after 2 points)" in err


@pytest.mark.parametrize(
    ("limit", "ending", "remedies"),
    [
        (("--time-budget", "0.001s"), "time budget: starting took 0 s", ("--time-budget", "1h")),
        (("--time-budget", "0.001s"), "time budget: starting took 0 s", ("--trials", 4)),
        (("--target-accuracy", 0.1), "target accuracy: trial 0001", ("--target-accuracy", 1.0)),
    ],
)
def test_a_search_that_reached_a_limit_continues_with_a_new_one_only(
    tune_ode, tasks, limit, ending, remedies
):
    tune_ode("search", "--trials", 3, *limit, "--name", "run")
    assert read_manifest(Path("runs/run")).ending.startswith(f"finished ({ending}")
    tasks.clear()
    for others in ((), ("--max-concurrent", 1), ("--trial-timeout", "1h")):
        status, _, err = tune_ode("resume", "runs/run", *others)
        assert (status, err.count("\n")) == (2, 1)
        assert f"runs/run is finished ({ending}" in err
        assert remedies[0] in err
    assert tasks == []
    assert tune_ode("resume", "runs/run", *remedies)[0] != 2, "it starts"


def test_a_search_that_ran_its_trials_says_so(tune_ode, tasks):
    tune_ode("search", "--trials", 1, "--name", "run")
    status, _, err = tune_ode("resume", "runs/run", "--time-budget", "1h")
    assert status == 2
    assert "runs/run is finished (1 trial) after 0:00 and 1 trial; to continue, raise" in err
    assert err.rstrip().endswith("with --trials")


def test_an_interrupt_of_a_resume_that_has_not_started_names_the_command(
    tune_ode, search, monkeypatch
):
    run = search()
    monkeypatch.setattr(launch, "plan_search", Mock(side_effect=KeyboardInterrupt))
    error = f"tune-ode: interrupted; to continue: tune-ode resume {run}\n"
    assert tune_ode("resume", run)[::2] == (130, error)
