"""Wrong usage ends with status 2 and one line with the remedy, before anything starts."""

import errno
import importlib.util
import os
import subprocess
import sys
import tempfile
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def make_images(tmp_path):
    """Return a function that writes an image directory with the given images per class."""

    def make(**classes):
        rng = np.random.default_rng(0)
        for name, count in classes.items():
            folder = tmp_path / "images" / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
        return tmp_path / "images"

    return make


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trails", "3"], "did you mean '--trials'?"),
        (["--trials", "0"], "--trials"),
        (["--trials", "three"], "--trials"),
        (["--time-budget", "soon"], "such as 90s, 5min, 1h30m or 1d, found 'soon'"),
        (["--space", "quik"], "did you mean 'quick'? valid: quick, solvers"),
        (["--dataset", "mnits"], "did you mean 'mnist'? valid: digits, mnist"),
        (["--fix", "solver.method=dopri"], "'dopri' is not one of 'euler'"),
        (["--fix", "solver.metod=euler"], "did you mean 'solver.method'"),
        (["--fix", "euler"], "NAME=VALUE"),
        (["--fix", "data.background=#12345"], "'#12345' is not an opaque color; use a name or"),
        (["--precision", "fp16"], "'fp16' is not one of 'fp32', 'bf16'"),
        (
            ["--sampler", "tpo"],
            "did you mean 'tpe'? valid: tpe, tpe-cost, random, grid, or p",
        ),
        (
            ["--sampler", "grid"],
            "--sampler grid needs a finite space, and solver.rtol, model.",
        ),
        (["--patience", "0"], "--patience"),
        (["--instants-per-decade", "1"], "--instants-per-decade"),
        (["--sampler", "nowhere:sampler"], "No module named 'nowhere'"),
        (["--log-to", "wandbee"], "did you mean 'wandb'? valid: tensorboard, mlflow, wandb"),
        (["--objective", "speed"], "objective: 'speed' is not one of 'anytime', 'accuracy'"),
        (["--storage", "mysql://h/d"], "--storage must be sqlite:///PATH or postgresql://"),
        (["--storage", "sqlite:////no/folder/study.db"], "/no/folder is not a writable dir"),
        (["--scheduler", "asha"], "scheduler: 'asha' is not one of 'seconds', 'epochs' or"),
        (["--gpu-hours", "1", "--gpus-per-trial", "0"], "--gpu-hours needs trials that use a GPU"),
        (["--target-accuracy", "95"], "less than or equal to 1"),
        (["--trial-timeout", "never"], "such as 90s, 5min, 1h30m or 1d, found 'never'"),
        (["--name", "a/b"], "--name must be letters"),
        (["--train-images", "99999"], "1438"),
        (["--gpus-per-trial", "2"], "at most 1"),
        (["--cpus-per-trial", "9999"], "this machine has"),
        (["--max-concurrent", "9999"], "--max-concurrent must be 1 to"),
        (["--dataset", "folder:nowhere"], "does not exist"),
        (["--dataset", "folder:"], "needs a path"),
    ],
)
def test_an_invalid_option_is_an_error_with_a_remedy(usage_error, arguments, message):
    assert message in usage_error("search", *arguments)


def test_a_missing_gpu_is_an_error(usage_error, monkeypatch):
    monkeypatch.setattr("tune_ode.machine.resources._gpus", lambda: 0)
    assert "no GPU" in usage_error("search", "--gpus-per-trial", "1")


def test_an_unknown_command_lists_the_commands(usage_error):
    assert "valid: search, resume" in usage_error("serach")


def test_a_directory_with_one_class_is_an_error(usage_error, make_images):
    assert "only one class" in usage_error("search", "--dataset", f"folder:{make_images(cats=9)}")


def test_corrupt_images_are_named_and_can_be_left_out(usage_error, tune_ode, make_images):
    folder = make_images(cats=9, dogs=9)
    corrupt = [folder / "cats" / "8.png", folder / "dogs" / "3.png"]
    for file in corrupt:
        file.write_bytes(b"not an image")
    error = usage_error("search", "--dataset", f"folder:{folder}")
    assert all(str(file) in error for file in corrupt)
    assert "--skip-broken" in error
    status, out, err = tune_ode(
        "search", "--dataset", f"folder:{folder}", "--skip-broken", "--check"
    )
    assert (status, err) == (0, "")
    assert "note      left out: 2 of 18 images cannot be used: " in out


def test_an_output_below_a_file_is_an_error(usage_error, tmp_path):
    (tmp_path / "file").touch()
    assert "Not a directory" in usage_error("search", "--output", tmp_path / "file" / "runs")


def test_an_output_on_a_read_only_file_system_is_an_error(usage_error):
    # /proc is read-only for root too; --check, since it is rejected before planning
    assert "choose another --output" in usage_error("search", "--output", "/proc/runs", "--check")


def test_an_output_on_a_full_disk_is_an_error(usage_error, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(tempfile, "TemporaryFile", Mock(side_effect=full))
    assert "No space left on device; choose another --output" in usage_error("search")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", ["resume", "rank", "report", "train", "predict"])
def test_a_missing_run_is_an_error(usage_error, tmp_path, command):
    more = [tmp_path / "image.png"] if command == "predict" else []
    error = usage_error(command, tmp_path / "nothing:best", *more)
    assert "run" in error
    assert ("recipe" in error) == (command == "train"), "only train accepts a recipe"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {width: wide}", "model.width"),
        ("a: [", "invalid YAML"),
        ("- 1", "must map names to values"),
    ],
)
def test_an_invalid_configuration_file_is_an_error(usage_error, tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    assert message in usage_error("train", tmp_path / "mine.yaml")


def test_a_package_that_shadows_ours_is_named(tmp_path):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "tune_ode.cli", "spaces"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_usage_errors_import_neither_ray_nor_torch(tmp_path):
    code = (
        "import sys; from tune_ode.cli.main import run\n"
        "run(['--help']); run(['search', '--help']); run(['search', '--space', 'none'])\n"
        "print(sorted({'ray', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "options",
    [
        ["--output", "~nobody-here/runs"],
        ["--data-dir", "~nobody-here/data"],
        ["--dataset", "folder:~nobody-here/images"],
        ["--space", "~nobody-here/space.yaml"],
        ["--config", "~nobody-here/options.yaml"],
        ["--storage", "sqlite:///~nobody-here/study.db"],
    ],
)
def test_an_unknown_home_directory_is_an_error(usage_error, options):
    assert "~ stands for is unknown; give an absolute path" in usage_error("search", *options)


@pytest.mark.parametrize("target", ["mlflow", "wandb:project", "tensorboard"])
def test_a_log_target_names_its_missing_package(usage_error, monkeypatch, target):
    find, missing = importlib.util.find_spec, {"mlflow", "wandb", "tensorboardX"}
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name in missing else find(name, *rest),
    )
    name = target.partition(":")[0]
    assert f"pip install 'tune-ode[{name}]'" in usage_error("search", "--log-to", target)
