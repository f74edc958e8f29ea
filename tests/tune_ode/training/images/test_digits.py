"""Training on scikit-learn's digits, with real batches, augmentation and cache."""

from pathlib import Path

import pytest
import torch

from tune_ode.config import TrialConfig
from tune_ode.data import ImageData, evaluation_batches, load, trial_data
from tune_ode.training import evaluate, load_model, training_loop
from tune_ode.training.checkpoints import read_checkpoint

CPU = torch.device("cpu")
CONFIG = TrialConfig().with_values(
    {
        "model.width": 32,
        "solver.method": "midpoint",
        "optimizer.name": "adamw",
        "optimizer.learning_rate": 0.01,
        "schedule.name": "onecycle",
        "training.epochs": 8,
        "training.batch_size": 32,
    }
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return load(CONFIG.data, tmp_path_factory.mktemp("data"))


def test_a_trained_model_classifies_digits_after_loading(digits: ImageData, tmp_path: Path):
    data = trial_data(digits, CONFIG, CPU)
    first, *_, last = reports = list(training_loop(CONFIG, data, device=CPU, checkpoints=tmp_path))
    assert max(report.val_accuracy for report in reports) > 0.9
    assert last.train_loss < first.train_loss / 2
    assert last.nfe_forward == last.vjp_backward == 2

    best = load_model(tmp_path / "best.pt", CPU)
    test_set = evaluation_batches(digits.test_images, digits.test_labels, best.statistics, CPU)
    assert evaluate(best.model, test_set)[1] > 0.85


def test_an_interrupted_training_with_augmentation_equals_an_uninterrupted_one(
    digits: ImageData, tmp_path: Path
):
    config = CONFIG.with_values(
        {
            "data.train_images": 400,
            "model.width": 8,
            "data.augmentation.crop": 1,
            "data.augmentation.rotation": 10,
            "model.head.dropout": 0.2,
            "solver.method": "euler",
            "training.epochs": 2,
        }
    )
    data = trial_data(digits, config, CPU)
    list(training_loop(config, data, device=CPU, checkpoints=tmp_path / "uninterrupted"))

    stops = iter([False, False, True])
    folder = tmp_path / "interrupted"
    reports = list(
        training_loop(config, data, device=CPU, checkpoints=folder, should_stop=lambda: next(stops))
    )
    assert not reports
    last = folder / "last.pt"
    list(training_loop(config, data, device=CPU, checkpoints=folder, resume_from=last))
    expected, resumed = (
        read_checkpoint(tmp_path / name / "last.pt")["model"]
        for name in ("uninterrupted", "interrupted")
    )
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
