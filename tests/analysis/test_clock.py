"""A disturbed clock is detected; single slow epochs and slow growth are not reported."""

import numpy as np
import pandas as pd
import pytest

from analysis.clock import check_clocks


def check(*epoch_seconds, cpu_share=0.95, device="cpu"):
    """Check the clock of one trial."""
    seconds = np.cumsum(epoch_seconds)
    reports = pd.DataFrame(
        {
            "trial": 0, "device": device, "epoch": np.arange(1.0, len(seconds) + 1),
            "train_seconds": seconds, "wall_seconds": 2 * seconds,
            "cpu_seconds": 2 * cpu_share * seconds, "concurrent_trials": 1.0,
        }
    )  # fmt: skip
    return check_clocks(reports, 1).iloc[0]


def test_even_epochs_are_trusted():
    assert check(1, 1, 1, 1, 1)["clock"] == ""
    assert check(1)["clock"] == ""


def test_a_single_slow_epoch_among_many_is_not_a_jump():
    assert check(*[1] * 20, 3)["clock"] == ""


def test_an_epoch_far_slower_than_those_around_it_is_a_jump():
    row = check(1, 1, 1, 6, 1, 1, 1)
    assert row["clock"] == "jumps"
    assert row["clock_excess"] == pytest.approx((6 - 1.5) / 12)


def test_slow_growth_over_training_is_not_a_jump():
    assert check(*np.linspace(1, 5, 20))["clock"] == ""


def test_a_process_that_waits_for_a_cpu_is_starved():
    assert check(1, 1, 1, cpu_share=0.6)["clock"] == "starved"
    assert check(1, 1, 8, 1, 1, cpu_share=0.6)["clock"] == "starved, jumps"


def test_an_idle_cpu_is_normal_on_a_gpu():
    assert check(1, 1, 1, cpu_share=0.3, device="NVIDIA A100")["clock"] == ""


def test_a_trial_without_reports_has_an_empty_clock():
    reports = pd.DataFrame(
        {name: pd.Series(dtype=float) for name in (
            "trial", "epoch", "train_seconds", "wall_seconds", "cpu_seconds", "concurrent_trials"
        )} | {"device": pd.Series(dtype=str)}
    )  # fmt: skip
    assert check_clocks(reports, 2)["clock"].tolist() == ["", ""]
