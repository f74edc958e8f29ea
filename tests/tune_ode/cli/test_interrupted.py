"""An interrupt at any time leaves something to continue, and says how, or nothing at all."""

import pytest

from tune_ode.cli.main import run


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def ask(tmp_path, capsys, monkeypatch):
    """Return a function that runs a search which is interrupted where `place` is called."""
    monkeypatch.chdir(tmp_path)

    def ask(place):
        monkeypatch.setattr(place, interrupted)
        assert run(["search", "--name", "run", "--trials", "1"]) == 130
        return capsys.readouterr().err

    return ask


def test_while_the_study_is_opened(ask, tmp_path):
    said = ask("tune_ode.tuning.launch._proposals")
    assert said == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    assert (tmp_path / "runs" / "run" / "run.json").exists()


def test_while_the_folder_is_made(ask, tmp_path):
    assert ask("tune_ode.records.replace_file") == "tune-ode: interrupted\n"
    assert list(tmp_path.iterdir()) == []
