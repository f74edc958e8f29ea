"""Commands run in-process."""

import pytest

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
