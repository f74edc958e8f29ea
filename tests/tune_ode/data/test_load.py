"""`load`: every name works, invalid requests are rejected, torch is not needed."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tune_ode.config import DataConfig
from tune_ode.config.data import DatasetName
from tune_ode.data import load, paths
from tune_ode.data.sources import SOURCES, find_source
from tune_ode.errors import ConfigurationError, DataError


def test_every_configurable_data_set_has_a_source():
    assert set(SOURCES) == set(get_args(DatasetName))


@pytest.mark.parametrize("name", SOURCES)
def test_identities_contain_the_name_and_the_data_directory(name):
    first, second = (find_source(name, Path(folder)) for folder in ("/one", "/two"))
    assert first.identity().split()[0] == name
    assert (first.identity() == second.identity()) == (name == "digits")


def test_digits_are_complete_at_full_contrast():
    data = load(DataConfig())
    assert data.shape == (1, 8, 8)
    assert (len(data.train_images), len(data.test_images)) == (1438, 359)
    assert (data.train_images.min(), data.train_images.max()) == (0, 255)
    assert data.class_names == tuple("0123456789")
    original = load_digits()
    ours = np.concatenate([data.train_images, data.test_images]).reshape(-1, 64)
    labels = np.concatenate([data.train_labels, data.test_labels])
    expected = np.round(original.data * 255 / 16)
    assert sorted(map(tuple, np.c_[ours, labels].tolist())) == sorted(
        map(tuple, np.c_[expected, original.target].astype(int).tolist())
    )
    shares = np.bincount(original.target) / 5
    assert (abs(np.bincount(data.test_labels) - shares) < 1).all()


def test_loading_without_torch(python):
    """`--check` and errors of the command line must not wait for its import."""
    process = python(
        "import sys; from tune_ode.config import DataConfig; from tune_ode.data import load, split;"
        "data = load(DataConfig()); split(data, DataConfig());"
        "print('torch' in sys.modules, len(data.train_images))"
    )
    assert process.communicate()[0].split() == ["False", "1438"]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"train_images": 2000}, DataError, "at most 1438"),
        ({"train_images": 12}, DataError, "at least 20"),
        ({"mean": [0.1] * 3, "std": [1.0] * 3}, ConfigurationError, "have 1, found 3"),
    ],
)
def test_requests_that_the_data_cannot_satisfy_are_rejected(values, error, message):
    with pytest.raises(error, match=message):
        load(DataConfig.from_dict(values))


def test_default_directories_follow_the_environment(monkeypatch, tmp_path):
    for variable in ("TUNE_ODE_CACHE", "TUNE_ODE_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.cache_folder() == tmp_path / ".cache" / "tune-ode"
    assert paths.data_folder(None) == tmp_path / ".local" / "share" / "tune-ode"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert paths.cache_folder() == tmp_path / "c" / "tune-ode"
    assert paths.data_folder(None) == tmp_path / "d" / "tune-ode"
    monkeypatch.setenv("TUNE_ODE_CACHE", "~/mine")
    monkeypatch.setenv("TUNE_ODE_DATA", str(tmp_path / "images"))
    assert paths.cache_folder() == tmp_path / "mine"
    assert paths.data_folder(None) == tmp_path / "images"
    assert paths.data_folder(Path("~/given")) == tmp_path / "given"


@pytest.fixture
def no_home(monkeypatch, tmp_path):
    """Leave only a temporary directory; return the user's private one in it."""
    for variable in ("TUNE_ODE_CACHE", "TUNE_ODE_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"tune-ode-{os.getuid()}"


@pytest.mark.parametrize("home", ["/nonexistent", "read-only", "", "~", None])
def test_without_a_writable_home_the_cache_is_private_and_temporary(
    no_home, monkeypatch, tmp_path, home
):
    if home is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # an unknown user
    else:
        monkeypatch.setenv("HOME", home)
    if home == "read-only":
        (tmp_path / home).mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / home))
    assert paths.cache_folder() == no_home / ".cache"
    assert stat.S_IMODE(no_home.stat().st_mode) == 0o700
    assert paths.data_folder(None) == no_home / "share"


def test_images_in_a_read_only_home_are_found(no_home, monkeypatch, tmp_path):
    images = tmp_path / "home" / ".local" / "share" / "tune-ode"
    images.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.data_folder(None) == images
    assert paths.cache_folder() == no_home / ".cache"


@pytest.mark.parametrize("kind", ["readable by others", "a link", "a file"])
def test_a_temporary_directory_that_is_not_private_is_rejected(no_home, tmp_path, kind):
    match kind:
        case "readable by others":
            no_home.mkdir(mode=0o755)
        case "a link":
            no_home.symlink_to(tmp_path)
        case "a file":
            no_home.touch()
    with pytest.raises(DataError, match="set TUNE_ODE_CACHE"):
        paths.cache_folder()
