"""The points of a space are counted and listed: each that a sampler can propose, and once."""

import math

import pytest

from search_spaces import PRESETS, Choice, Fixed, Float, Int, Space
from search_spaces.enumeration import continuous_parameters, count_points, point_key, points

EULER = Space({"solver.steps": Int(1, 8), "solver.gradient": Choice("backprop", "adjoint")})
SPACES = [
    (Space({}), 1),
    (Space({"training.epochs": Fixed(3)}), 1),
    (Space({"training.epochs": Int(2, 10, step=2)}), 5),
    (Space({"training.epochs": Int(2, 10, log=True)}), 9),
    (Space({"model.head.dropout": Float(0.0, 0.6, step=0.1)}), 7),
    (Space({"solver.method": Choice({"euler": EULER, "dopri5": None})}), 17),
    (
        Space(
            {
                "solver.method": Choice({"euler": EULER, "dopri5": None}),
                "training.batch_size": Choice(32, 64),
            }
        ),
        34,
    ),
]


@pytest.mark.parametrize(("space", "count"), SPACES)
def test_each_point_is_listed_once(space, count, random_trial):
    listed = [point_key(point) for point in points(space)]
    assert count_points(space) == len(listed) == len(set(listed)) == count
    assert not continuous_parameters(space)
    fixed = {name for name, parameter, _ in space.walk() if isinstance(parameter, Fixed)}
    sampled = (space.sample(random_trial(seed)) for seed in range(40 * count))
    proposed = ({n: v for n, v in point.items() if n not in fixed} for point in sampled)
    assert {point_key(point) for point in proposed} == set(listed)


def test_a_continuous_parameter_in_any_branch_makes_a_space_infinite():
    rate = Space({"optimizer.learning_rate": Float(0.1, 1.0)})
    space = Space(
        {"optimizer.name": Choice({"sgd": rate, "adam": None}), "training.epochs": Int(1, 2)}
    )
    assert count_points(space) == math.inf
    assert continuous_parameters(space) == ["optimizer.learning_rate"]
    with pytest.raises(ValueError, match="infinitely many"):
        list(points(space))


def test_large_spaces_are_counted_without_being_listed():
    for space, _ in PRESETS.values():
        assert count_points(space) > 100
    fine = Float(0.0, 0.5, step=2.0**-1000)
    assert count_points(Space({"model.head.dropout": fine})) == 2.0**999
    assert count_points(Space({"training.epochs": Int(1, 10_000), "model.width": Int(1, 512)})) == (
        5_120_000
    )
