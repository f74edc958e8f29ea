"""Less of a space: a fixed setting holds in every point, a narrowed range keeps its branches."""

import pytest

from search_spaces import Choice, Fixed, Float, Int, Space, configure, resolve_space
from search_spaces.restrict import restrict_by_text
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError

QUICK = resolve_space("quick")
FULL = resolve_space("full")


def by_name(space):
    return {name: parameter for name, parameter, _ in space.walk()}


def test_a_fixed_choice_leaves_its_branch_behind():
    names = QUICK.fixed({"solver.method": "dopri5", "training.epochs": 3}).names
    assert "solver.rtol" in names
    assert not {*names} & {"solver.method", "training.epochs", "solver.steps@euler"}


def test_a_fixed_setting_holds_in_every_branch(dice):
    # choosing an optimizer starts from its own defaults, so every branch has to say it again;
    # quick does not search weight decay at all
    fixed = {"optimizer.learning_rate": 0.03, "optimizer.weight_decay": 1e-3}
    space = QUICK.fixed(fixed)
    assert "optimizer.name" in space.names
    assert not any(name.startswith("optimizer.learning_rate") for name in space.names)
    for seed in range(30):
        optimizer = configure(TrialConfig(), space.sample(dice(seed))).optimizer
        assert (optimizer.learning_rate, optimizer.weight_decay) == (0.03, 1e-3)


def test_a_fixed_setting_of_some_options_holds_in_these(dice):
    space = QUICK.fixed({"solver.rtol": 0.01})
    for seed in range(30):
        solver = configure(TrialConfig(), space.sample(dice(seed))).solver
        assert getattr(solver, "rtol", 0.01) == 0.01


def test_a_setting_that_no_searched_option_has():
    with pytest.raises(ConfigurationError, match="no setting of sgd, adamw, muon.* fix opt"):
        QUICK.fixed({"optimizer.alpha": 0.9})


def test_a_narrowed_choice_keeps_its_branches():
    space = QUICK & {"solver.method": Choice("euler", "dopri5")}
    assert "solver.rtol" in space.names
    assert "solver.steps@rk4" not in space.names
    one = QUICK & {"solver.method": Fixed("dopri5")}
    assert "solver.rtol" in one.names
    assert "solver.method" not in one.names


def test_a_path_narrows_all_branches_and_a_name_one():
    rate = Float(1e-3, 1e-2, log=True)
    everywhere = by_name(QUICK & {"optimizer.learning_rate": rate})
    assert everywhere["optimizer.learning_rate@sgd"] == rate
    assert everywhere["optimizer.learning_rate@muon"] == rate
    one = by_name(QUICK & {"optimizer.learning_rate@sgd": rate})
    assert one["optimizer.learning_rate@sgd"] == rate
    assert one["optimizer.learning_rate@muon"] != rate


@pytest.mark.parametrize(
    ("name", "text", "becomes"),
    [
        ("model.width", "16..64", Int(16, 64)),
        ("model.width", "16..64,step 16", Int(16, 64, step=16)),
        ("model.width", "16|32", Choice(16, 32)),
        ("model.width", "24", Fixed(24)),
        ("model.head.dropout", "0..0.2", Float(0, 0.2)),
        ("training.epochs", "5..9", Int(5, 9, log=True)),  # the scale it had
        ("training.epochs", "5..9,linear", Int(5, 9)),
        ("training.epochs", "5 .. 9 linear step 2", Int(5, 9, step=2)),
        ("optimizer.learning_rate@sgd", "1e-2..1e-1,log", Float(1e-2, 1e-1, log=True)),
        ("training.gradient_clip", "null | 1", Choice(None, 1.0)),
    ],
)
def test_a_range_given_as_text(name, text, becomes):
    found = by_name(restrict_by_text(FULL, {name: text}))
    assert str(found[name]) == str(becomes)
    assert type(found[name]) is type(becomes)


def test_a_range_for_a_choice_with_branches_keeps_the_options_inside():
    space = restrict_by_text(FULL, {"model.head.hidden_layers": "0..1"})
    (layers,) = (p for n, p, _ in space.walk() if n == "model.head.hidden_layers")
    assert list(layers.options) == [0, 1]
    assert "model.head.hidden_width" in space.names


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("model.widht", "1..2", "near: model.width"),
        ("model.width", "a..b", "model.width: a range is of numbers, found 'a'"),
        ("model.width", "1..2..3", "model.width: a range is of numbers"),
        ("model.width", "1.5..3", "model.width takes whole numbers, found 1.5"),
        ("model.width", "", "model.width"),
        ("model.width", "64..16", "model.width: a range needs low < high"),
        ("model.width", "8..16 log step 2", "model.width: .* found both"),
        ("model.width", "8..16 lag", "model.width: '8..16 lag' is none of: LOW .. HIGH"),
        ("model.width", "16..9999", "model.width: .* 1024, found 9999"),
        ("solver.method", "1..2", "list its values"),
        ("solver.method", "euler|rk5", "'rk5' is not one of 'euler'"),
        ("model.head.hidden_layers", "5..6", "none of its options 0, 1, 2 is in 5 .. 6"),
        ("optimizer.learning_rate@x", "1..2", "near: optimizer.learning_rate@"),
    ],
)
def test_a_wrong_range_is_said_with_its_name(name, text, said):
    with pytest.raises(ConfigurationError, match=said):
        restrict_by_text(FULL, {name: text})


def test_nothing_is_left_of_a_space_that_is_fixed_whole():
    assert Space({"model.width": Int(1, 2)}).fixed({"model.width": 1}) == Space({})
