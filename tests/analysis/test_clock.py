"""A disturbed clock is detected; single slow epochs and slow growth are not reported."""

import numpy as np
import pandas as pd
import pytest

from analysis.clock import check_clocks


def check(*epoch_seconds, cpu_share=0.95, waiting=0.0, device="cpu"):
    """Check the clock of one trial."""
    seconds = np.cumsum(epoch_seconds)
    reports = pd.DataFrame(
        {
            "trial": 0, "device": device, "epoch": np.arange(1.0, len(seconds) + 1),
            "train_seconds": seconds, "wall_seconds": 2 * seconds,
            "cpu_seconds": 2 * cpu_share * seconds, "concurrent_trials": 1.0,
            "train_cpu_seconds": cpu_share * seconds, "train_waiting_seconds": waiting * seconds,
        }
    )  # fmt: skip
    return check_clocks(reports, 1).iloc[0]


@pytest.mark.parametrize(
    "epoch_seconds",
    [[1] * 5, [1], [*[1] * 20, 3], np.linspace(1, 5, 20)],
    ids=["even epochs", "one epoch", "a single slow epoch among many", "slow growth"],
)
def test_a_clock_without_jumps_is_trusted(epoch_seconds):
    assert check(*epoch_seconds)["clock"] == ""


def test_an_epoch_far_slower_than_those_around_it_is_a_jump():
    row = check(1, 1, 1, 6, 1, 1, 1)
    assert row["clock"] == "jumps"
    assert row["clock_excess"] == pytest.approx((6 - 1.5) / 12)


def test_a_process_that_waits_for_a_cpu_is_starved():
    assert check(1, 1, 1, cpu_share=0.6)["clock"] == "starved"
    assert check(1, 1, 8, 1, 1, cpu_share=0.6)["clock"] == "starved, jumps"
    assert check(1, 1, 1, cpu_share=0.3, device="NVIDIA A100")["clock"] == "", "idle next to a GPU"


def test_threads_that_wait_for_cores_are_starved():
    """Two threads of which each runs half of the time use one CPU second per second."""
    assert check(1, 1, 1, cpu_share=1.0, waiting=1.0)["clock"] == "starved"
    assert check(1, 1, 1, cpu_share=1.8, waiting=0.2)["clock"] == ""
    assert check(1, 1, 1, cpu_share=1.0, waiting=0.0)["clock"] == "", "a second thread is idle"
    assert check(1, 1, 1, cpu_share=1.0, waiting=np.nan)["clock"] == "", "not counted"
    assert check(1, 1, 1, waiting=2.0, device="NVIDIA A100")["clock"] == ""


def test_a_trial_without_reports_has_an_empty_clock():
    reports = pd.DataFrame(
        {name: pd.Series(dtype=float) for name in (
            "trial", "epoch", "train_seconds", "wall_seconds", "cpu_seconds", "concurrent_trials",
            "train_cpu_seconds", "train_waiting_seconds",
        )} | {"device": pd.Series(dtype=str)}
    )  # fmt: skip
    assert check_clocks(reports, 2)["clock"].tolist() == ["", ""]
