"""Checkpoints: atomic writes, rejected files, loading for prediction."""

import contextlib
import dataclasses
import errno
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tune_ode.errors import DISK_FULL, ConfigurationError, RunFolderError, StorageFull, TuneOdeError
from tune_ode.training import evaluate, load_model
from tune_ode.training.checkpoints import FORMAT, read_checkpoint, write_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def trained(small_config, train, tmp_path: Path) -> Path:
    """Return the directory with the checkpoints of a training of one epoch."""
    list(train(small_config(training__epochs=1), checkpoints=tmp_path))
    return tmp_path


def one_line(error: TuneOdeError, *parts: str) -> None:
    message = str(error)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_only_last_and_best_remain(trained: Path):
    assert sorted(path.name for path in trained.iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("torch.save", MemoryError),
        ("os.fsync", KeyboardInterrupt),
        ("os.replace", KeyboardInterrupt),
    ],
)
def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch, function, error):
    path = tmp_path / "last.pt"
    write_checkpoint(path, {"format": FORMAT, "value": "old"})

    def crash(*arguments):
        if function == "torch.save":
            arguments[1].write(b"half")
        raise error

    monkeypatch.setattr(function, crash)
    with pytest.raises(error):
        write_checkpoint(path, {"format": FORMAT, "value": "new"})
    assert read_checkpoint(path)["value"] == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "expected"),
    [*((code, StorageFull) for code in sorted(DISK_FULL)), (errno.EACCES, RunFolderError)],
)
def test_a_failed_write_is_reported_in_one_line(tmp_path: Path, monkeypatch, code: int, expected):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(expected) as error:
        write_checkpoint(tmp_path / "last.pt", {"format": FORMAT})
    one_line(error.value, str(tmp_path / "last.pt"))
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_created_is_rejected(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError) as error:
        write_checkpoint(tmp_path / "file" / "last.pt", {"format": FORMAT})
    one_line(error.value, "last.pt")


def test_a_damaged_or_foreign_file_is_rejected_in_one_line(trained: Path):
    valid = (trained / "last.pt").read_bytes()
    contents = {
        "empty": b"",
        "text": b"epoch,loss\n1,2\n",
        "truncated": valid[: len(valid) // 2],
        "end missing": valid[:-10],
        "flipped": valid[:2000] + bytes(255 - b for b in valid[2000:4000]) + valid[4000:],
    }
    for name, content in contents.items():
        path = trained / name
        path.write_bytes(content)
        with pytest.raises(RunFolderError) as error:
            load_model(path, CPU)
        one_line(error.value, str(path))


def test_no_changed_byte_and_no_end_that_is_missing_changes_a_model_unnoticed(trained: Path):
    valid = (trained / "best.pt").read_bytes()
    model, path = load_model(trained / "best.pt", CPU).model.state_dict(), trained / "changed"
    for position in np.linspace(0, len(valid) - 1, 60).astype(int):
        path.write_bytes(valid[:position])
        with pytest.raises(RunFolderError, match="is damaged or not a checkpoint"):
            load_model(path, CPU)
        path.write_bytes(valid[:position] + bytes([valid[position] ^ 1]) + valid[position + 1 :])
        with contextlib.suppress(RunFolderError):  # padding means nothing
            state = load_model(path, CPU).model.state_dict()
            assert all(torch.equal(state[name], value) for name, value in model.items())


@pytest.mark.filterwarnings("error")
def test_another_pickle_is_rejected_without_a_warning(tmp_path: Path):
    (tmp_path / "best.pt").write_bytes(pickle.dumps({"format": FORMAT}))
    with pytest.raises(RunFolderError, match="is damaged or not a checkpoint"):
        load_model(tmp_path / "best.pt", CPU)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(RunFolderError) as error:
        load_model(tmp_path / "last.pt", CPU)
    one_line(error.value, "no checkpoint", str(tmp_path / "last.pt"))


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("owned",))


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": FORMAT, "model": Malicious()}, tmp_path / "last.pt")
    with pytest.raises(RunFolderError):
        load_model(tmp_path / "last.pt", CPU)
    assert not (tmp_path / "owned").exists()


def test_other_formats_and_contents_are_rejected(trained: Path):
    saved = read_checkpoint(trained / "last.pt")
    other = trained / "other.pt"
    for content in [{}, [1, 2], saved | {"format": 99}]:
        torch.save(content, other)
        with pytest.raises(RunFolderError, match="version"):
            load_model(other, CPU)
    for broken in ({"model": {}}, {"shape": [1]}, {"statistics": {}}):
        torch.save(saved | broken, other)
        with pytest.raises(RunFolderError, match="does not match"):
            load_model(other, CPU)


def test_a_checkpoint_of_another_configuration_is_rejected_with_the_fields(
    trained: Path, small_config, train
):
    other = small_config(
        training__epochs=1, optimizer__learning_rate=0.02, schedule__name="constant"
    )
    with pytest.raises(ConfigurationError) as error:
        next(train(other, resume_from=trained / "last.pt"))
    one_line(
        error.value,
        "optimizer.learning_rate is 0.1 there, 0.02 here",
        "schedule.name is cosine there, constant here",
        "schedule.final is 0.0 there, not set here",
    )
    assert "seed" not in str(error.value)


def test_a_best_checkpoint_cannot_be_resumed(trained: Path, small_config, train):
    with pytest.raises(RunFolderError, match="last"):
        next(train(small_config(training__epochs=1), resume_from=trained / "best.pt"))


def test_data_with_another_shape_are_rejected(trained: Path, small_config, data, train):
    other = dataclasses.replace(data, classes=4, class_names=("a", "b", "c", "d"))
    config = small_config(training__epochs=1)
    with pytest.raises(RunFolderError, match="does not match"):
        next(train(config, data=other, resume_from=trained / "last.pt"))


def test_an_incomplete_training_is_rejected(trained: Path, small_config, train):
    saved = read_checkpoint(trained / "last.pt")
    for part in saved["training"]:
        training_part = {k: v for k, v in saved["training"].items() if k != part}
        torch.save(saved | {"training": training_part}, trained / "last.pt")
        with pytest.raises(RunFolderError, match="does not match"):
            next(train(small_config(training__epochs=1), resume_from=trained / "last.pt"))


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_loaded_model_has_the_reported_accuracy(small_config, data, train, tmp_path, name: str):
    """After one epoch `best` and `last` are the same model. Dropout requires evaluation mode."""
    config = small_config(training__epochs=1)
    (report,) = train(config, checkpoints=tmp_path)
    random = torch.get_rng_state()
    saved = load_model(tmp_path / name, CPU)
    assert torch.equal(torch.get_rng_state(), random)
    assert not saved.model.training
    assert evaluate(saved.model, data.validation) == (report.val_loss, report.val_accuracy)
    assert saved.config == config
    assert saved.class_names == data.class_names
    assert saved.shape == data.shape
    assert saved.statistics == data.statistics


def test_best_is_written_only_if_the_accuracy_improves(small_config, train, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.5, 0.75, 0.25])
    monkeypatch.setattr("tune_ode.training.trial.evaluate", lambda *_: (1.0, next(accuracies)))
    written = []
    for report in train(small_config(training__epochs=4), checkpoints=tmp_path):
        last = read_checkpoint(tmp_path / "last.pt")["model"]
        best = read_checkpoint(tmp_path / "best.pt")["model"]
        if all(torch.equal(best[name], last[name]) for name in last):
            written.append(report.epoch)
    assert written == [1, 3]


def test_a_resumed_training_remembers_the_best(small_config, train, tmp_path, monkeypatch):
    accuracies = iter([0.75, 0.5, 0.75])
    monkeypatch.setattr("tune_ode.training.trial.evaluate", lambda *_: (1.0, next(accuracies)))
    run = train(small_config(), checkpoints=tmp_path)
    next(run)
    run.close()
    best = (tmp_path / "best.pt").read_bytes()
    list(train(small_config(), checkpoints=tmp_path, resume_from=tmp_path / "last.pt"))
    assert (tmp_path / "best.pt").read_bytes() == best


def test_a_crash_between_the_two_writes_repeats_both(small_config, train, tmp_path, monkeypatch):
    """If `last` were written first, a resume would not write the missing `best`."""
    accuracies = iter([0.25, 0.75, 0.75, 0.5])
    monkeypatch.setattr("tune_ode.training.trial.evaluate", lambda *_: (1.0, next(accuracies)))
    run = train(small_config(), checkpoints=tmp_path)
    next(run)
    replace, replaced = os.replace, []

    def crash_at_second(source, target):
        if replaced:
            raise KeyboardInterrupt
        replaced.append(target)
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", crash_at_second)
        next(run)
    (tmp_path / "best.pt").unlink()
    list(train(small_config(), checkpoints=tmp_path, resume_from=tmp_path / "last.pt"))
    assert (tmp_path / "best.pt").exists()


@pytest.mark.parametrize("kind", ["compressed", "overlapping", "expanded"])
def test_a_checkpoint_that_takes_more_memory_than_its_size_is_damaged(tmp_path, kind):
    file = tmp_path / "best.pt"
    values = torch.zeros(50 * 2**20, dtype=torch.uint8)
    if kind == "expanded":
        values = torch.zeros(1, dtype=torch.uint8).expand(50 * 2**20)
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "model": {"values": values}}, buffer)
    if kind == "compressed":
        stored, buffer = zipfile.ZipFile(buffer), io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for info in stored.infolist():
                archive.writestr(info.filename, stored.read(info))
    if kind == "overlapping":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("archive/data/0", bytes(2**20))
            info = archive.infolist()[0]
            for number in range(1, 50):
                copy = zipfile.ZipInfo(info.filename)
                for name in ("CRC", "compress_size", "file_size", "header_offset"):
                    setattr(copy, name, getattr(info, name))
                copy.filename = f"archive/data/{number}"
                archive.filelist.append(copy)
    file.write_bytes(buffer.getvalue())
    assert file.stat().st_size < 2 * 2**20
    with pytest.raises(RunFolderError, match="is damaged or not a checkpoint"):
        read_checkpoint(file)
