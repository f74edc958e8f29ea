"""`predict` decodes image files as the training of the model did."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.factories import make_manifest, make_task
from tune_ode.config import TrialConfig
from tune_ode.data import evaluation_batches, load
from tune_ode.errors import UsageError
from tune_ode.prediction import best_model, predict
from tune_ode.records import MANIFEST, dumps
from tune_ode.worker.task import run_trial


def turned(pixels, file):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(pixels).save(file.with_suffix(".jpg"), exif=tags, quality=95)


def transparent(pixels, file):
    layers = np.dstack([255 - pixels, pixels])
    Image.fromarray(layers, "LA").save(file.with_suffix(".png"))


def deep(pixels, file):
    Image.fromarray(pixels.astype(np.uint16) * 9).save(file.with_suffix(".tif"))


def train(run, task):
    """Train the only trial of a run."""
    manifest = make_manifest(base=task.config)
    (run / MANIFEST).write_text(dumps(manifest.to_json()))
    *_, end = run_trial(task)
    assert end.outcome == "completed", end


@pytest.mark.parametrize("save", [turned, transparent, deep])
def test_images_are_decoded_as_in_training(tmp_path, working_directory, save):
    numbers = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for number in range(10):
                save(numbers.integers(0, 256, (9, 12), np.uint8), folder / f"{number}")
    values = {"data.dataset": f"folder:{tmp_path / 'images'}", "data.background": "#303030"}
    task = make_task(tmp_path, **values, **{"training.batch_size": 4, "training.epochs": 1})
    train(tmp_path, task)

    device = torch.device("cpu")
    saved = best_model(tmp_path, "0001", device)
    assert saved.config.data.background == "#303030"
    data = load(TrialConfig.from_dict(task.config).data)
    batches = evaluation_batches(data.test_images, data.test_labels, saved.statistics, device)
    with torch.inference_mode():
        expected = torch.cat([saved.model(images) for images, _ in batches]).softmax(1).amax(1)
    files = sorted((tmp_path / "images" / "test").rglob("*.*"))
    found = [prediction.probability for prediction in predict(tmp_path, "0001", files)]
    assert found == pytest.approx(expected.tolist(), abs=1e-6)
    assert len({*found}) > 1


def test_all_unusable_files_are_named(tmp_path, task):
    train(tmp_path, task)
    files = [tmp_path / f"{name}.png" for name in ("a-missing", "empty", "tiny")]
    missing, empty, tiny = files
    empty.touch()
    Image.new("L", (3, 9)).save(tiny)
    with pytest.raises(UsageError) as caught:
        predict(tmp_path, "0001", files)
    assert str(caught.value) == (
        "3 of 3 images cannot be used: "
        f"{missing} is not a readable image (No such file or directory); "
        f"{empty} is not a readable image (cannot identify image file); "
        f"{tiny} is 3×9 pixels (at least 8 per side are needed); remove or convert them"
    )
