"""A run with trials on two device types."""

from pathlib import Path

import pytest

from analysis.load import load_run
from analysis.ranking import rank


@pytest.fixture(scope="session")
def run_of_12():
    """The run of tests/data/run-of-12 and its ranking."""
    run = load_run(Path(__file__).parents[2] / "data" / "run-of-12")
    return run, rank(run)
