"""The horizon: training and schedule end together, with the epochs or with the budget."""

import dataclasses
from unittest.mock import Mock

import pytest

from tune_ode.training.checkpoints import read_checkpoint

BUDGET = 7.5
"""Of 15 batches that take a second each, 7 fit."""


def test_a_schedule_ends_with_the_budget(small_config, train):
    config = small_config(schedule__name="onecycle", schedule__peak=2 / 7)
    *_, peak, last = train(config, budget_seconds=BUDGET, report_instants=[3])
    assert (last.batches, last.horizon, last.train_seconds) == (7, 7, 7)
    assert peak.learning_rate == pytest.approx(config.optimizer.learning_rate)
    assert last.learning_rate == pytest.approx(peak.learning_rate / 5), "the last of 5 steps to 0"


@pytest.mark.parametrize("budget", [15, 1000])
def test_a_budget_that_is_never_reached_changes_nothing(small_config, train, results, budget: int):
    reports = list(train(small_config(), budget_seconds=budget))
    assert list(map(results, reports)) == list(map(results, train(small_config())))
    assert reports[-1].horizon == 15


def test_a_training_with_the_horizon_of_another_repeats_it(small_config, train, results):
    """As `confirm` and `train RUN:TRIAL` do, without the budget or on another machine."""
    *_, limited = train(small_config(), budget_seconds=BUDGET)
    *_, repeated = train(small_config(training__horizon=limited.horizon))
    assert results(repeated) == results(limited)


def test_a_resumed_training_keeps_its_horizon(small_config, data, train, clock, tmp_path):
    """Batches take two seconds after the resume, so the budget ends first."""
    options = {"budget_seconds": BUDGET, "checkpoints": tmp_path, "report_instants": [3]}
    next(train(small_config(), **options))
    slower = Mock(advance=lambda seconds: clock.advance(2 * seconds))
    slower_data = dataclasses.replace(data, train=dataclasses.replace(data.train, clock=slower))
    *_, last = train(
        small_config(), data=slower_data,
        resume_from=tmp_path / "last.pt", **options,
    )  # fmt: skip
    assert (last.batches, last.horizon) == (6, 7)
    assert read_checkpoint(tmp_path / "last.pt")["config"]["training"]["horizon"] == 7


def test_what_changes_the_number_of_batches_resets_the_horizon(small_config):
    config = small_config(training__horizon=7)
    assert config.with_values({"model.width": 8}).training.horizon == 7
    assert config.with_values({"training.batch_size": 8}).training.horizon is None
    both = config.with_values({"training.epochs": 2, "training.horizon": 5})
    assert both.training.horizon == 5


def test_timing_the_steps_leaves_no_trace(small_config, train, results):
    """Weights, batch-norm statistics, optimizer and random numbers are those of the first step."""
    config = small_config(model__normalization="batch", model__head__dropout=0.5)
    timed = next(iter(train(config, budget_seconds=14.9)))
    untimed = next(
        iter(
            train(
                small_config(
                    model__normalization="batch", model__head__dropout=0.5, training__horizon=14
                )
            )
        )
    )
    assert results(timed) == results(untimed)
