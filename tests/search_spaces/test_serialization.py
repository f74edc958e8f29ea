"""A space survives JSON and YAML, and its hash tells spaces apart."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    PRESETS,
    Choice,
    Fixed,
    Float,
    Int,
    Space,
    resolve_space,
    space_hash,
    to_yaml,
)
from search_spaces.range_syntax import parse
from tune_ode.config.yaml_files import parse_yaml
from tune_ode.errors import ConfigurationError

NUMBERS = st.floats(1e-6, 0.4)
WHOLE = st.integers(1, 500)


@st.composite
def floats(draw):
    low, high = sorted((draw(NUMBERS), draw(NUMBERS)))
    if low == high:
        return Fixed(low)
    if draw(st.booleans()):
        return Float(low, high, log=draw(st.booleans()))
    return Float(low, high, step=(high - low) / draw(st.integers(1, 9)))


@st.composite
def ints(draw):
    low, step, count = draw(WHOLE), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return Int(low, low + step * count, step == 1 and draw(st.booleans()), step)


def choices(values, branches):
    def choice(options):
        return Choice(options) if len(options) > 1 else Fixed(next(iter(options)))

    return st.dictionaries(values, branches, min_size=1, max_size=4).map(choice)


@st.composite
def spaces(draw):
    """Spaces of every block, nested twice, whose settings are none twice."""
    rate = Space({"training.label_smoothing": draw(floats())})
    inner = draw(choices(st.sampled_from(["conv", "res"]), st.sampled_from([None, rate])))
    branch = Space({"model.stem.kind": inner, "model.head.hidden_width": draw(ints())})
    possible = {
        "model.width": ints(),
        "training.batch_size": choices(WHOLE, st.none()),
        "optimizer.weight_decay": floats(),
        "data.augmentation.hue": choices(NUMBERS, st.none()),
        "data.augmentation.flip": choices(st.booleans(), st.none()),
        "training.gradient_clip": choices(st.none() | NUMBERS, st.none()),
        "model.head.hidden_layers@x": choices(
            st.integers(0, 2), st.sampled_from([None, branch, Space({})])
        ),
        "schedule.milestones": st.lists(NUMBERS, max_size=3).map(Fixed),
        "solver.gradient": st.sampled_from(["backprop", "recompute"]).map(Fixed),
    }
    names = draw(st.lists(st.sampled_from(sorted(possible)), unique=True))
    return Space({name: draw(possible[name]) for name in names})


@settings(max_examples=300, deadline=None)
@given(space=spaces())
def test_a_space_survives_json_and_yaml(space):
    for again in (
        Space.from_dict(json.loads(json.dumps(space.to_dict(), allow_nan=False))),
        Space.from_dict(parse_yaml(to_yaml(space), "here")),
    ):
        assert again == space
        assert space_hash(again) == space_hash(space)
        # equality looks past the order, which a listing keeps
        assert again.tree() == space.tree()
        assert [type(p) for _, p, _ in again.walk()] == [type(p) for _, p, _ in space.walk()]


@pytest.mark.parametrize("name", PRESETS)
def test_a_ready_made_space_survives_json_and_yaml(name):
    space = resolve_space(name)
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    assert Space.from_dict(parse_yaml(to_yaml(space), name)) == space


@settings(deadline=None)
@given(range_=floats() | ints())
def test_the_text_of_a_range_means_the_range(range_):
    path = "model.width" if isinstance(range_, Int) else "optimizer.weight_decay"
    assert parse(path, str(range_)) == range_


def test_every_difference_that_a_study_sees_changes_the_hash():
    def of(**options):
        return space_hash(Space({"model.width": Int(1, 9, **options), "model.blocks": Fixed(1)}))

    different = {
        of(),
        of(log=True),
        of(step=2),
        space_hash(Space({"model.width": Int(1, 9)})),
        space_hash(Space({"model.width": Choice(1, 9)})),
        space_hash(Space({"model.width": Choice(9, 1)})),
        space_hash(Space({"model.width@a": Int(1, 9)})),
    }
    assert len(different) == 7
    assert all(len(name) == 12 for name in different)


def test_the_hash_of_a_space_is_the_same_in_every_version():
    # it names studies in databases: a change here would part runs from what they learned
    assert space_hash(Space({"model.width": Int(1, 9)})) == "d8b6f1a30d71"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- model.width", "a space holds parameters by name"),
        ("solver.step: 1 .. 2", "did you mean 'solver.steps'"),
        ("model.width: [16]\nmodel.blocks: []", "model.blocks: a choice needs at least two"),
        ("model.width: [16, 16]", "model.width: a choice needs at least two distinct"),
        ("model.width: {16: }", "model.width: a choice needs at least two"),
        ("model.width: {16: 3, 32: }", "model.width: a space holds parameters by name, found 3"),
        ("solver.method: {euler: {steps: 1 .. 2}, rk4: }", "unknown setting 'steps'"),
        (
            "solver.method: {euler | rk4: , rk4: }",
            "solver.method: the option rk4 stands there",
        ),
        ("solver.method: {1: , 2: }", "solver.method: 1 is not one of"),
        ("model.width: 16 .. x", "model.width: a range is of numbers, found 'x'"),
        ("model.width: wide", "model.width: .* valid integer, found 'wide'"),
        ("model.width: [[1, 2], 3]", "model.width"),
        ("3: [1, 2]", "named by its setting, found 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_the_parameter(text, said):
    with pytest.raises(ConfigurationError, match=said):
        Space.from_dict(parse_yaml(text, "mine.yaml"))
