"""A disturbed clock is noticed; the odd slow epoch and slow growth are not taken for one."""

import numpy as np
import pandas as pd
import pytest

from analysis.clock import check_clocks


def checked(*paces, cpu_share=0.95, device="cpu"):
    """Check one trial whose epochs take so many seconds."""
    seconds = np.cumsum(paces)
    lines = pd.DataFrame(
        {
            "trial": 0, "device": device, "epoch": np.arange(1.0, len(paces) + 1),
            "train_seconds": seconds, "wall_seconds": 2 * seconds,
            "cpu_seconds": 2 * cpu_share * seconds, "concurrent_trials": 1.0,
        }
    )  # fmt: skip
    return check_clocks(lines, 1).iloc[0]


def test_even_epochs_are_trusted():
    assert checked(1, 1, 1, 1, 1)["clock"] == ""
    assert checked(1)["clock"] == ""


def test_one_slow_epoch_of_many_is_no_jump():
    assert checked(*[1] * 20, 3)["clock"] == ""


def test_an_epoch_far_slower_than_its_neighbours_is():
    found = checked(1, 1, 1, 6, 1, 1, 1)
    assert found["clock"] == "jumps"
    assert found["clock_excess"] == pytest.approx((6 - 1.5) / 12)


def test_evaluations_that_grow_over_training_are_no_jump():
    assert checked(*np.linspace(1, 5, 20))["clock"] == ""


def test_a_process_that_waits_for_its_cpu_is_starved():
    assert checked(1, 1, 1, cpu_share=0.6)["clock"] == "starved"
    assert checked(1, 1, 8, 1, 1, cpu_share=0.6)["clock"] == "starved, jumps"


def test_on_a_gpu_the_cpu_may_rest():
    assert checked(1, 1, 1, cpu_share=0.3, device="NVIDIA A100")["clock"] == ""


def test_a_trial_that_reported_nothing_has_no_clock():
    lines = pd.DataFrame(
        {name: pd.Series(dtype=float) for name in (
            "trial", "epoch", "train_seconds", "wall_seconds", "cpu_seconds", "concurrent_trials"
        )} | {"device": pd.Series(dtype=str)}
    )  # fmt: skip
    assert check_clocks(lines, 2)["clock"].tolist() == ["", ""]
