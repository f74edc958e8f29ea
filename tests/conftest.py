"""What all tests share: the real image data, where this machine has it."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with MNIST/raw and cifar10/{train,test}, named by TUNE_ODE_DATA."""
    folder = os.environ.get("TUNE_ODE_DATA")
    if not folder or not (Path(folder) / "MNIST" / "raw").is_dir():
        pytest.skip("no real MNIST and CIFAR-10: set TUNE_ODE_DATA to a folder that holds them")
    return Path(folder)
