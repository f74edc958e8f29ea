"""Commands run in-process."""

import sys
from pathlib import Path

import pytest

import analysis.load
import analysis.ranking
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
def usage_error(tune_ode, tmp_path, monkeypatch):
    """Return a function that runs a command which must be rejected, and returns the error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "tune_ode.tuning.launch._search", lambda *_, **__: pytest.fail("it started")
    )

    def command(*arguments):
        status, out, err = tune_ode(*arguments)
        assert status == 2
        assert err.startswith("tune-ode: ")
        assert err.count("\n") == 1
        assert out == "", "no plan if nothing will run"
        assert not (tmp_path / "runs").exists(), "no incomplete run directory"
        return err

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
    count("rank", analysis.ranking.rank, lambda run: run.folder)
    return found
