"""An interrupted command leaves a resumable run and prints how to resume it, or leaves nothing."""

import pytest

from tune_ode.cli.main import run


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def interrupt(tmp_path, capsys, monkeypatch):
    """Return a function that runs a search, interrupts it in a function, and returns stderr."""
    monkeypatch.chdir(tmp_path)

    def interrupt(function):
        monkeypatch.setattr(function, interrupted)
        assert run(["search", "--name", "run", "--trials", "1"]) == 130
        return capsys.readouterr().err

    return interrupt


def test_an_interrupt_while_the_study_is_opened_is_resumable(interrupt, tmp_path):
    error = interrupt("tune_ode.tuning.launch._open_study")
    assert error == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    assert (tmp_path / "runs" / "run" / "run.json").exists()


def test_an_interrupt_while_the_run_directory_is_created_leaves_nothing(interrupt, tmp_path):
    assert interrupt("tune_ode.records.write_atomic") == "tune-ode: interrupted\n"
    assert list(tmp_path.iterdir()) == []
