"""Commands that continue or judge a run refuse images that are not those of the run."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.factories import make_report, make_result
from tune_ode import prediction
from tune_ode.config import TrialConfig
from tune_ode.data import cache
from tune_ode.errors import DataChanged
from tune_ode.records import Outcome, read_manifest
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning import launch
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search
from tune_ode.worker.task import Task, run_trial


def save(path, count, first=0):
    path.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(path / f"{number}.png")


@pytest.fixture
def images(tmp_path, working_directory, monkeypatch):
    monkeypatch.setattr(cache, "_OPENED", {})
    for name in ("cat", "dog"):
        save(tmp_path / "images" / name, 10)
    return tmp_path / "images"


@pytest.fixture
def run(images):
    """Return a run with one ranked trial on the images."""
    plan = plan_search(SearchOptions(dataset=f"folder:{images}", trials=1, output="searches"))
    folder = RunFolder.create(plan.run_folder, launch._manifest(plan))
    spec = folder.add_trial(plan.base.to_dict(), {}, 0.0)
    folder.append(make_report(spec.trial_id))
    folder.write_result(make_result(spec.trial_id))
    folder.close()
    return plan.run_folder


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("resume {run} --trials 2", "start a new run"),
        ("confirm {run}", "start a new run"),
        ("train {run}:1", "set --dataset"),
    ],
)
def test_a_command_that_needs_the_same_images_is_refused(usage_error, images, run, command, remedy):
    save(images / "cat", 16, first=10)
    error = usage_error(*command.format(run=run).split())
    assert "20 images before, 36 now, class 'cat' had 8 train + 2 test" in error
    assert remedy in error


def test_moved_images_are_the_same(tune_ode, images, run, monkeypatch):
    moved = images.rename(images.with_name("moved"))
    plans = []
    monkeypatch.setattr(launch, "_search", lambda folder, plan, *_, **__: plans.append(plan))
    monkeypatch.setattr("tune_ode.cli.display.result.print_result", lambda *_, **__: None)
    status, _, _ = tune_ode("resume", run, "--trials", 2, "--dataset", f"folder:{moved}")
    assert status == 0
    assert plans[0].fingerprint == read_manifest(run).fingerprint


def test_train_with_a_data_set_trains_on_the_images_as_they_are(tune_ode, images, run, monkeypatch):
    save(images / "cat", 16, first=10)
    plans = []
    monkeypatch.setattr(launch, "start", lambda plan, **_: plans.append(plan))
    monkeypatch.setattr("tune_ode.cli.display.result.print_result", lambda *_: None)
    status, _, _ = tune_ode("train", f"{run}:1", "--dataset", f"folder:{images}")
    assert status == 0
    assert plans[0].fingerprint["classes"]["cat"]["train"] == 21


def test_a_trial_that_finds_other_images_is_interrupted_and_can_be_resumed(images, run):
    """The images may change while a search runs, and processes start later than the search."""
    save(images / "cat", 16, first=10)
    task = Task(
        trial_id="0001", attempt=1, config=TrialConfig().to_dict()
        | {"data": {"dataset": f"folder:{images}"}}, run_folder=str(run), data_dir=None,
        device="cpu", threads=1, budget_seconds=None, report_instants=(),
        fingerprint=read_manifest(run).fingerprint,
    )  # fmt: skip
    (end,) = run_trial(task)
    assert end.outcome is Outcome.INTERRUPTED
    assert "20 images before, 36 now" in end.reason


def test_a_training_whose_images_changed_meanwhile_has_no_test_accuracy(images, run, monkeypatch):
    """The changed test set may contain images that the model was trained on."""
    saved = SimpleNamespace(config=TrialConfig.from_dict(read_manifest(run).base))
    monkeypatch.setattr(prediction, "best_model", lambda *_: saved)
    save(images / "cat", 16, first=10)
    with pytest.raises(DataChanged, match="train again"):
        prediction.score_on_test_set(run, "0001", None)
