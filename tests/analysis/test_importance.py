"""Hyperparameter importance of synthetic trials."""

import numpy as np
import pytest

from analysis.importance import LEAST_TRIALS, importances
from analysis.plots import parameters, style


def synthetic_trials(count=200):
    """Return trials whose accuracy depends on `rate` and whose seconds depend on `width`."""
    draw = np.random.default_rng(0)
    params = []
    for _ in range(count):
        trial = {"rate": float(draw.uniform()), "width": int(draw.choice([16, 32, 64])),
                 "noise": float(draw.uniform()), "kind": str(draw.choice(["a", "b"]))}  # fmt: skip
        if trial["kind"] == "a":
            trial["only_a"] = float(draw.uniform())
        params.append(trial)
    values = [trial["rate"] + 0.02 * draw.normal() for trial in params]
    seconds = [trial["width"] * np.exp(0.02 * draw.normal()) for trial in params]
    return params, values, seconds


def test_decisive_parameters_have_the_highest_importance():
    found = importances(*synthetic_trials())
    assert max(found.by_accuracy, key=found.by_accuracy.get) == "rate"
    assert max(found.by_seconds, key=found.by_seconds.get) == "width"
    assert found.by_accuracy["rate"] > 0.5
    assert found.by_accuracy["noise"] < 0.15
    assert sum(found.by_accuracy.values()) == pytest.approx(1)
    assert found.used["only_a"] < found.trials == 200
    assert found.best == 20
    assert set(found.names[:2]) == {"rate", "width"}


def test_a_decisive_conditional_parameter_is_important():
    params, _, seconds = synthetic_trials()
    values = [trial.get("only_a", -1.0) for trial in params]
    found = importances(params, values, seconds)
    assert found.names[0] in {"only_a", "width"}
    assert found.by_accuracy["only_a"] > 0.3


def test_too_few_trials_or_values_have_no_importance():
    params, values, seconds = synthetic_trials(LEAST_TRIALS - 1)
    assert importances(params, values, seconds) is None
    assert importances([{"x": 1}] * 20, range(20), range(20)) is None
    assert importances([{"x": [1, k]} for k in range(20)], range(20), range(20)) is None


def test_parameters_of_too_few_trials_are_left_out():
    params, values, seconds = synthetic_trials(40)
    for number, trial in enumerate(params[: LEAST_TRIALS - 1]):
        trial["rare"] = float(number)
    for trial in params[:LEAST_TRIALS]:
        trial["enough"] = trial["rate"]
    used = importances(params, values, seconds).used
    assert {"rate", "enough"} <= set(used)
    assert "rare" not in used


def test_the_plot_has_a_title_and_units():
    _, ax = style.figure()
    parameters.plot_importance(importances(*synthetic_trials(40)), ax)
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
