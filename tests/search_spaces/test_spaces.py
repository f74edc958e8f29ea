"""A space proposes nothing but valid configurations, under names that a study can hold."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import PRESETS, Choice, Float, Int, Space, configure, path_of, preset
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError


class Dice:
    """The `suggest_*` methods over a plain random source."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.asked = {}

    def suggest_float(self, name, low, high, *, step, log):
        value = self.random.uniform(low, high)
        if step is not None:
            value = low + step * round((value - low) / step)
        return self._note(name, (low, high, step, log), value)

    def suggest_int(self, name, low, high, *, step, log):
        return self._note(name, (low, high, step, log), self.random.randrange(low, high + 1, step))

    def suggest_categorical(self, name, choices):
        return self._note(name, tuple(choices), self.random.choice(choices))

    def _note(self, name, range_, value):
        assert self.asked.setdefault(name, range_) == range_
        return value


@pytest.mark.parametrize("name", PRESETS)
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_point_of_a_preset_is_a_valid_configuration(name, seed):
    params = preset(name).sample(Dice(seed))
    config = configure(TrialConfig(), params)
    assert TrialConfig.from_dict(config.to_dict()) == config
    # and the values arrive where their names say
    tree = config.to_dict()
    for parameter, value in params.items():
        node = tree
        for step in path_of(parameter).split("."):
            node = node[step]
        assert node == value


@pytest.mark.parametrize("name", PRESETS)
def test_the_default_configuration_is_a_point_of_every_preset(name):
    space = preset(name)
    assert configure(TrialConfig(), space.point(TrialConfig())) == TrialConfig()


@pytest.mark.parametrize("name", PRESETS)
def test_one_name_has_one_range_in_a_study(name):
    dice = Dice(0)
    for _ in range(500):
        preset(name).sample(dice)
    assert dice.asked.keys() == {parameter for parameter, _, _ in preset(name).walk()}


def test_a_branch_is_open_only_under_its_option():
    inner = Space({"model.head.hidden_width": Int(16, 64)})
    space = Space({"model.head.hidden_layers": Choice({1: inner, 0: None})})
    for seed in range(50):
        point = space.sample(Dice(seed))
        assert ("model.head.hidden_width" in point) == (point["model.head.hidden_layers"] == 1)


def test_a_fixed_choice_leaves_its_branch_behind():
    space = preset("quick").fixed({"solver.method": "dopri5", "training.epochs": 3})
    names = {name for name, _, _ in space.walk()}
    assert "solver.rtol" in names
    assert not names & {"solver.method", "training.epochs", "solver.steps@euler"}


def test_a_fixed_setting_is_found_inside_branches():
    space = preset("quick").fixed({"optimizer.learning_rate": 0.1})
    names = {name for name, _, _ in space.walk()}
    assert "optimizer.name" in names
    assert not any(name.startswith("optimizer.learning_rate") for name in space.names)
    for seed in range(20):
        # choosing an optimizer starts from its own defaults, so every branch says the rate again
        point = space.sample(Dice(seed))
        assert configure(TrialConfig(), point).optimizer.learning_rate == 0.1


STEPS = Space({"solver.steps": Int(1, 2)})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Float(2, 1), "low < high"),
        (lambda: Float(0, float("nan")), "finite"),
        (lambda: Float(0, 1, step=0.3), "divides"),
        (lambda: Float(0.1, 1, step=0.1, log=True), "found both"),
        (lambda: Int(0, 4, log=True), "low > 0"),
        (lambda: Int(0, 2.0), "whole numbers"),
        (lambda: Choice("a", "a"), "distinct"),
        (lambda: Choice(), "at least two"),
        (lambda: Choice("a"), r"Fixed\(value\)"),
        (lambda: Choice("null", "a"), "reads as None"),
        (lambda: Choice(("a",), "b"), "an option of a choice"),
        (lambda: STEPS | STEPS, "both spaces decide solver.steps"),
        (lambda: STEPS | Space({"solver.steps@a": Int(1, 2)}), "decided twice"),
        (lambda: Space({"solver.step": Int(1, 2)}), "did you mean 'solver.steps'"),
        (lambda: Space({"solver.steps@": Int(1, 2)}), "setting@branch"),
        (lambda: Space({"solver.steps": Int(0, 2)}), "greater than or equal to 1"),
        (lambda: Space({"solver.steps": Float(1, 2)}), "use Int"),
        (lambda: Space({"solver.rtol": Int(0, 1)}), "use Float"),
        (lambda: Space({"solver.method": Int(0, 1)}), "no range"),
        (lambda: Space({"solver.method": Choice("rk4", "rk5")}), "'rk5' is not one of 'euler'"),
        (lambda: Space({"seed": Int(0, 9)}), "--seed"),
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
        (lambda: preset("quik"), "did you mean 'quick'"),
    ],
)
def test_a_wrong_space_is_refused_when_it_is_made(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_true_is_no_option_of_a_choice_of_one():
    assert True not in Choice(1, 2)
    assert 1 in Choice(1, 2)


def test_the_tree_shows_every_parameter_under_its_option():
    lines = preset("quick").tree().splitlines()
    assert "solver.method: euler | midpoint | rk4 | dopri5" in lines
    assert lines[lines.index("  if dopri5:") + 1].strip() == "solver.rtol: 0.0001 .. 0.1 log"
