"""Early instants are evaluated on a fixed sample of the validation split, the end on all of it."""

import dataclasses

import pytest
import torch

from tune_ode.config import TrialConfig
from tune_ode.data import load, trial_data
from tune_ode.records import BEST_CHECKPOINT
from tune_ode.training import evaluation, load_model
from tune_ode.training.evaluation import TRAINED_PER_IMAGE, sample_size

MIN_IMAGES = 128


@pytest.fixture(autouse=True)
def _smaller_samples(monkeypatch):
    monkeypatch.setattr(evaluation, "MIN_IMAGES", MIN_IMAGES)


@pytest.fixture
def validation(data):
    """Return 300 validation images."""
    copies = [number % data.validation.images for number in range(300)]
    held_out = data.validation
    return dataclasses.replace(
        held_out, stored=held_out.stored[copies], labels=held_out.labels[copies]
    )


def test_the_sample_grows_with_the_images_trained_on_and_the_end_is_complete(
    small_config, data, train, validation
):
    data = dataclasses.replace(data, validation=validation)
    reports = list(train(small_config(), data=data, report_instants=[1, 5, 9]))
    assert [report.val_images for report in reports] == [MIN_IMAGES] * 3 + [300]
    larger = 40 * TRAINED_PER_IMAGE * MIN_IMAGES
    assert (sample_size(0), sample_size(larger)) == (MIN_IMAGES, 40 * MIN_IMAGES)


def test_reports_of_epochs_are_complete(small_config, data, train, validation):
    data = dataclasses.replace(data, validation=validation)
    assert {report.val_images for report in train(small_config(), data=data)} == {300}


def test_a_lucky_sample_is_not_the_best_checkpoint(
    small_config, data, train, validation, monkeypatch, tmp_path
):
    """`best.pt` is of the most accurate report on the most images."""
    accuracies = iter([0.9, 0.8, 0.5])
    monkeypatch.setattr("tune_ode.training.trial.evaluate", lambda *_: (1.0, next(accuracies)))
    data = dataclasses.replace(data, validation=validation)
    options = {"report_instants": [1, 5], "checkpoints": tmp_path, "data": data}
    *_, last = train(small_config(), **options)
    assert (last.val_accuracy, last.val_images) == (0.5, 300)
    best, final = (
        load_model(tmp_path / name, torch.device("cpu")).model.state_dict()
        for name in (BEST_CHECKPOINT, "last.pt")
    )
    assert all(torch.equal(best[name], final[name]) for name in final)


@pytest.mark.parametrize("images", [10, 64, 128, 200])
def test_every_beginning_of_the_validation_split_is_stratified(images):
    config = TrialConfig()
    held_out = trial_data(load(config.data), config, torch.device("cpu")).validation
    every = torch.cat([labels for _, labels in held_out])
    first = held_out.first(images)
    labels = torch.cat([labels for _, labels in first])
    assert len(labels) == first.images == images
    assert torch.equal(labels, every[:images]), "the same images at every instant"
    expected = torch.bincount(every) * images / len(every)
    assert (torch.bincount(labels, minlength=10) - expected).abs().max() < 1.5
