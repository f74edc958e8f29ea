"""`train` scores a configuration on the test set once; `predict` uses its model on image files."""

import json
import re

import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from tune_ode.cli.main import run as run_command

QUICK = (
    "--fix", "model.width=16", "--fix", "solver.method=euler", "--fix", "training.batch_size=32",
    "--fix", "training.epochs=4",
)  # fmt: skip


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Return a function that runs a command in an empty directory and returns its output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        assert run_command([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return run


def test_train_then_predict(command, tmp_path):
    out = command("train", *QUICK, "--name", "one")
    assert len(re.findall(r"^ +\d+ +[\d.]+ +[\d.]+", out, re.MULTILINE)) == 4, "one line per epoch"
    accuracy = float(re.search(r"test +accuracy ([\d.]+) on 359 images", out).group(1))
    assert accuracy > 0.5

    digits = load_digits()
    files = [tmp_path / f"{number}.png" for number in range(20)]
    for file, image in zip(files, digits.images, strict=False):
        Image.fromarray((image * 255 / 16).round().astype("uint8")).save(file)
    out = command("predict", "runs/one:1", *files, "--json")
    predictions = [json.loads(line) for line in out.splitlines()]
    assert [p["image"] for p in predictions] == [str(file) for file in files]
    assert all(0.1 <= p["probability"] <= 1 for p in predictions)
    correct = sum(p["class_name"] == str(digits.target[n]) for n, p in enumerate(predictions))
    assert correct >= 10

    line = command("predict", "runs/one:best", files[0])
    assert line.split()[0] == str(files[0])


def test_a_diverged_training_names_the_reason(command, capsys):
    diverging = ("--fix", "optimizer.learning_rate=100", "--fix", "solver.max_evaluations=3")
    assert (
        run_command(["train", *QUICK, *diverging, "--fix", "solver.steps=4", "--name", "bad"]) == 1
    )
    err = capsys.readouterr().err
    assert err.startswith("tune-ode: the training ended as diverged: ")
    assert "solver.max_evaluations=3" in err
    assert err.count("\n") == 1


def test_a_yaml_file_and_a_trial_train_the_same_configuration(command, tmp_path):
    config = {
        "model": {"width": 16},
        "solver": {"method": "midpoint", "steps": 2},
        "training": {"epochs": 1},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    command("train", "mine.yaml", "--name", "one")
    command("train", "runs/one:0001", "--name", "two")
    reports = []
    for name in ("one", "two"):
        trial = tmp_path / "runs" / name / "trials" / "0001"
        assert json.loads((trial / "config.json").read_text())["config"]["solver"]["steps"] == 2
        reports.append(json.loads((trial / "reports.jsonl").read_text()))
    # equal configurations and seeds train bitwise equal
    assert reports[0]["val_loss"] == reports[1]["val_loss"]
    assert reports[0]["nfe_forward"] == 4
