"""An interrupted command leaves a resumable run and prints how to resume it, or leaves nothing."""

from unittest.mock import Mock

import pytest


@pytest.fixture
def interrupt(tune_ode, monkeypatch):
    """Return a function that runs a search, interrupts it in a function, and returns stderr."""

    def interrupt(function):
        monkeypatch.setattr(function, Mock(side_effect=KeyboardInterrupt))
        status, _, err = tune_ode("search", "--name", "run", "--trials", "1")
        assert status == 130
        return err

    return interrupt


def test_an_interrupt_while_the_study_is_opened_is_resumable(interrupt, tmp_path):
    error = interrupt("tune_ode.tuning.launch._open_study")
    assert error == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    assert (tmp_path / "runs" / "run" / "run.json").exists()


@pytest.mark.parametrize(
    "function", ["tune_ode.tuning.plan.plan_search", "tune_ode.records.write_atomic"]
)
def test_an_interrupt_before_the_run_directory_exists_leaves_nothing(interrupt, tmp_path, function):
    assert interrupt(function) == "tune-ode: interrupted\n"
    assert list(tmp_path.iterdir()) == []
