"""Every trial of a search is evaluated at the same instants, wherever its epochs end."""

import dataclasses
import itertools

import numpy as np
import pytest

from analysis.curves import report_instants
from analysis.rate import accuracy_per_second
from tune_ode.tuning.study.objective import anytime_value

BUDGET = 40.0


@pytest.mark.parametrize("per_decade", [2, 3, 8, 32])
def test_instants_are_a_geometric_grid_up_to_the_budget(per_decade):
    instants = report_instants(60.0, per_decade)
    assert (instants[0], instants[-1]) == pytest.approx((0.06, 60))
    ratios = [late / early for early, late in itertools.pairwise(instants)]
    assert ratios == pytest.approx([10 ** (1 / per_decade)] * 3 * per_decade)


def test_eight_instants_per_decade_are_the_default():
    assert report_instants(60.0) == report_instants(60.0, 8)


@pytest.mark.parametrize(("images", "epochs"), [(36, 10), (120, 3)])
def test_where_epochs_end_does_not_matter_to_a_search(
    small_config, data, train, clock, monkeypatch, images: int, epochs: int
):
    """One training of 30 batches, with epochs of 5, 3 or 10 batches.

    In place of the evaluation stands a learning curve of the clock.
    """

    def reports(images: int, epochs: int):
        start = clock.seconds
        monkeypatch.setattr(
            "tune_ode.training.trial.evaluate", lambda *_: (1.0, 1 - 50 / (clock.seconds - start))
        )
        chosen = [number % len(data.train.images) for number in range(images)]
        part = dataclasses.replace(
            data.train, images=data.train.images[chosen], labels=data.train.labels[chosen]
        )
        return list(
            train(
                small_config(training__epochs=epochs),
                data=dataclasses.replace(data, train=part),
                report_instants=report_instants(BUDGET),
                budget_seconds=BUDGET,
            )
        )

    def judged(curve):
        seconds, accuracy = np.array([(r.train_seconds, r.val_accuracy) for r in curve]).T
        rate = accuracy_per_second(seconds, accuracy, chance=0.1, floor=0.5)
        return seconds.tolist(), accuracy.tolist(), rate, anytime_value(curve, BUDGET)

    *curve, rate, area = judged(reports(images, epochs))
    assert [*curve, rate, area] == list(judged(reports(60, 6)))
    assert area > 0.2
    assert rate.value > 0
