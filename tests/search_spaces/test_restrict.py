"""Fixed fields hold in every point, and restricted choices keep their branches."""

import pytest

from search_spaces import Choice, Fixed, Float, Int, Space, configure, fix, resolve_space, restrict
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError

QUICK = resolve_space("quick")
FULL = resolve_space("full")


def by_name(space):
    return {name: parameter for name, parameter, _ in space.walk()}


def test_a_fixed_choice_is_replaced_by_its_branch():
    names = fix(QUICK, {"solver.method": "dopri5", "training.epochs": 3}).names
    assert "solver.rtol" in names
    assert not {*names} & {"solver.method", "training.epochs", "solver.steps@euler"}


def test_a_fixed_field_holds_in_every_branch(random_trial):
    # selecting an optimizer resets it to its defaults, so every branch must set the field;
    # quick does not search weight decay
    fixed = {"optimizer.learning_rate": 0.03, "optimizer.weight_decay": 1e-3}
    space = fix(QUICK, fixed)
    assert "optimizer.name" in space.names
    assert not any(name.startswith("optimizer.learning_rate") for name in space.names)
    for seed in range(30):
        optimizer = configure(TrialConfig(), space.sample(random_trial(seed))).optimizer
        assert (optimizer.learning_rate, optimizer.weight_decay) == (0.03, 1e-3)


def test_a_fixed_field_of_some_options_holds_in_these(random_trial):
    space = fix(QUICK, {"solver.rtol": 0.01})
    for seed in range(30):
        solver = configure(TrialConfig(), space.sample(random_trial(seed))).solver
        assert getattr(solver, "rtol", 0.01) == 0.01


def test_a_fixed_field_must_exist_in_a_searched_option():
    with pytest.raises(ConfigurationError, match="not a field of .*sgd, adamw, muon.* fix opt"):
        fix(QUICK, {"optimizer.alpha": 0.9})


def test_a_restricted_choice_keeps_its_branches():
    space = restrict(QUICK, {"solver.method": Choice("euler", "dopri5")})
    assert "solver.rtol" in space.names
    assert "solver.steps@rk4" not in space.names
    one = restrict(QUICK, {"solver.method": Fixed("dopri5")})
    assert "solver.rtol" in one.names
    assert "solver.method" not in one.names


def test_a_path_restricts_all_branches_and_a_name_one():
    rate = Float(1e-3, 1e-2, log=True)
    everywhere = by_name(restrict(QUICK, {"optimizer.learning_rate": rate}))
    assert everywhere["optimizer.learning_rate@sgd"] == rate
    assert everywhere["optimizer.learning_rate@muon"] == rate
    one = by_name(restrict(QUICK, {"optimizer.learning_rate@sgd": rate}))
    assert one["optimizer.learning_rate@sgd"] == rate
    assert one["optimizer.learning_rate@muon"] != rate


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("model.width", "16..64", Int(16, 64)),
        ("model.width", "16..64,step 16", Int(16, 64, step=16)),
        ("model.width", "16|32", Choice(16, 32)),
        ("model.width", "24", Fixed(24)),
        ("model.head.dropout", "0..0.2", Float(0, 0.2)),
        ("training.epochs", "5..9", Int(5, 9, log=True)),  # keeps its scale
        ("training.epochs", "5..9,linear", Int(5, 9)),
        ("training.epochs", "5 .. 9 linear step 2", Int(5, 9, step=2)),
        ("optimizer.learning_rate@sgd", "1e-2..1e-1,log", Float(1e-2, 1e-1, log=True)),
        ("training.gradient_clip", "null | 1", Choice(None, 1.0)),
    ],
)
def test_a_range_can_be_given_as_text(name, text, expected):
    found = by_name(restrict(FULL, {name: text}))
    assert str(found[name]) == str(expected)
    assert type(found[name]) is type(expected)


def test_a_range_for_a_choice_with_branches_keeps_the_options_inside():
    space = restrict(FULL, {"model.head.hidden_layers": "0..1"})
    (layers,) = (p for n, p, _ in space.walk() if n == "model.head.hidden_layers")
    assert list(layers.options) == [0, 1]
    assert "model.head.hidden_width" in space.names


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model.widht", "1..2", "near: model.width"),
        ("model.width", "a..b", "model.width: a range needs numbers, found 'a'"),
        ("model.width", "1..2..3", "model.width: a range needs numbers"),
        ("model.width", "1.5..3", "model.width takes integers, found 1.5"),
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
def test_an_invalid_range_is_an_error_with_its_name(name, text, message):
    with pytest.raises(ConfigurationError, match=message):
        restrict(FULL, {name: text})


def test_a_space_with_every_field_fixed_is_empty():
    assert fix(Space({"model.width": Int(1, 2)}), {"model.width": 1}) == Space({})
