"""Commands run in-process."""

import sys
from pathlib import Path

import pytest

import analysis.load
import analysis.rank
from tune_ode.cli.main import run


@pytest.fixture
def tune_ode(capsys):
    """Return a function that runs a command and returns its exit status, output and errors."""

    def command(*arguments):
        status = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return status, printed.out, printed.err

    return command


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
    count("rank", analysis.rank.rank, lambda run: run.folder)
    return found
