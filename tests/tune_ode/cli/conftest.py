"""Commands in an empty directory, and what they load."""

import sys
from pathlib import Path

import pytest

import analysis.load
import analysis.ranking


@pytest.fixture(autouse=True)
def _in_working_directory(working_directory):
    """Run all commands in an empty directory."""


@pytest.fixture
def no_pictures(monkeypatch):
    """Skip the plots of reports, which take seconds to draw."""
    monkeypatch.setattr("analysis.report.pictures", lambda run, ranking, sections: [])


@pytest.fixture
def calls(monkeypatch):
    """Names of the runs that are loaded and ranked during a test, as `load NAME`, `rank NAME`."""
    found = []

    def count(name, original, folder_of):
        def counted(argument, **options):
            found.append(f"{name} {folder_of(argument).name}")
            return original(argument, **options)

        for module in list(sys.modules.values()):  # also those that imported the function
            if vars(module).get(original.__name__) is original:
                monkeypatch.setattr(module, original.__name__, counted)

    count("load", analysis.load.load_run, Path)
    count("rank", analysis.ranking.rank, lambda run: run.folder)
    return found
