"""A space is validated on construction, and a point has the parameters of its branches."""

import pytest

from search_spaces import Choice, Fixed, Float, Int, Space, configure, resolve_space, to_tree
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError

STEPS = Space({"solver.steps": Int(1, 2)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(2, 1), "low < high"),
        (lambda: Float(0, float("nan")), "finite"),
        (lambda: Float(0, 1, step=0.3), "must divide"),
        (lambda: Float(0.1, 1, step=0.1, log=True), "found both"),
        (lambda: Int(0, 4, log=True), "low > 0"),
        (lambda: Int(0, 2.0), "integers"),
        (lambda: Choice("a", "a"), "distinct"),
        (lambda: Choice(), "at least two"),
        (lambda: Choice("a"), r"Fixed\(value\)"),
        (lambda: Choice("null", "a"), "is read as None"),
        (lambda: Choice(("a",), "b"), "an option of a choice"),
        (lambda: STEPS | STEPS, "both spaces set solver.steps"),
        (lambda: STEPS | Space({"solver.steps@a": Int(1, 2)}), "set twice"),
        (lambda: Space({"solver.step": Int(1, 2)}), "did you mean 'solver.steps'"),
        (lambda: Space({"solver.steps@": Int(1, 2)}), "field@branch"),
        (lambda: Space({"solver.steps": Int(0, 2)}), "greater than or equal to 1"),
        (lambda: Space({"solver.steps": Float(1, 2)}), "use Int"),
        (lambda: Space({"solver.rtol": Int(0, 1)}), "use Float"),
        (lambda: Space({"solver.method": Int(0, 1)}), "no range"),
        (lambda: Space({"solver.method": Choice("rk4", "rk5")}), "'rk5' is not one of 'euler'"),
        (lambda: Space({"seed": Int(0, 9)}), "--seed"),
        (lambda: Space({"data.background": Choice("white", "black")}), "set it with --fix data"),
        (lambda: Space({"solver.method": Choice({"euler": STEPS, "rk4": None})}) | STEPS, "twice"),
        (
            lambda: Space(
                {
                    "solver.method": Choice(
                        {"euler": STEPS, "rk4": Space({"solver.steps": Int(1, 9)})}
                    )
                }
            ),
            "two ranges",
        ),
    ],
)
def test_an_invalid_space_is_rejected_on_construction(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_a_branch_is_active_only_under_its_option(random_trial):
    inner = Space({"model.head.hidden_width": Int(16, 64)})
    space = Space({"model.head.hidden_layers": Choice({1: inner, 0: None})})
    for seed in range(50):
        point = space.sample(random_trial(seed))
        assert ("model.head.hidden_width" in point) == (point["model.head.hidden_layers"] == 1)


def test_a_fixed_value_is_in_every_point_and_is_not_sampled(random_trial):
    space = Space({"optimizer.name": Fixed("muon"), "optimizer.momentum": Float(0.8, 0.9)})
    sampler = random_trial(0)
    assert space.sample(sampler)["optimizer.name"] == "muon"
    assert sampler.ranges.keys() == {"optimizer.momentum"} == set(space.names)
    assert configure(TrialConfig(), space.sample(sampler)).optimizer.name == "muon"


def test_values_have_the_types_of_the_configuration(random_trial):
    # a configuration contains 1.0 where a user writes 1: its point must be found again
    space = Space({"model.ode.integration_time": Choice(1, 2), "training.gradient_clip": Fixed(3)})
    assert space.point(TrialConfig()) == {"model.ode.integration_time": 1.0}
    assert type(space.sample(random_trial(0))["training.gradient_clip"]) is float


def test_a_value_outside_its_range_is_left_to_the_sampler():
    space = Space({"training.epochs": Int(20, 30), "model.width": Int(16, 64)})
    assert space.point(TrialConfig()) == {"model.width": 64}


def test_a_range_with_a_step_contains_its_grid_only():
    assert 0.3 in Float(0, 0.4, step=0.1)
    assert 0.25 not in Float(0, 0.4, step=0.1)
    assert 8 in Int(0, 16, step=4)
    assert 6 not in Int(0, 16, step=4)


def test_spaces_can_be_joined_and_compare_by_value():
    a, b = Space({"model.width": Int(1, 2)}), Space({"model.blocks": Int(1, 2)})
    assert a | b == b | a
    assert hash(a | b) == hash(b | a)
    assert a != b


def test_true_is_not_an_option_of_a_choice_with_1():
    assert True not in Choice(1, 2)
    assert 1 in Choice(1, 2)


def test_the_tree_shows_every_parameter_under_its_option():
    lines = to_tree(resolve_space("quick")).splitlines()
    assert "solver.method: euler | midpoint | rk4 | dopri5" in lines
    assert lines[lines.index("  if dopri5:") + 1].strip() == "solver.rtol: 0.0001 .. 0.1 log"
