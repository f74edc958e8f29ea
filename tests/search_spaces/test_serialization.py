"""A space round-trips through JSON and YAML, and its hash identifies it."""

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
    from_dict,
    resolve_space,
    space_hash,
    to_dict,
    to_tree,
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
    """Spaces of all sections, with two levels of branches, that set no field twice."""
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
def test_a_space_round_trips_through_json_and_yaml(space):
    for again in (
        from_dict(json.loads(json.dumps(to_dict(space), allow_nan=False))),
        from_dict(parse_yaml(to_yaml(space), "here")),
    ):
        assert again == space
        assert space_hash(again) == space_hash(space)
        # equality ignores the order of parameters, which the tree keeps
        assert to_tree(again) == to_tree(space)
        assert [type(p) for _, p, _ in again.walk()] == [type(p) for _, p, _ in space.walk()]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_round_trips_through_json_and_yaml(name):
    space = resolve_space(name)
    assert from_dict(json.loads(json.dumps(to_dict(space)))) == space
    assert from_dict(parse_yaml(to_yaml(space), name)) == space


@settings(deadline=None)
@given(range_=floats() | ints())
def test_the_text_of_a_range_is_parsed_as_the_range(range_):
    path = "model.width" if isinstance(range_, Int) else "optimizer.weight_decay"
    assert parse(path, str(range_)) == range_


def test_every_difference_that_affects_a_study_changes_the_hash():
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


def test_the_hash_of_a_space_is_stable_across_versions():
    # it identifies studies in databases: a change would separate runs from their history
    assert space_hash(Space({"model.width": Int(1, 9)})) == "d8b6f1a30d71"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- model.width", "a space must map names to parameters"),
        ("solver.step: 1 .. 2", "did you mean 'solver.steps'"),
        ("model.width: [16]\nmodel.blocks: []", "model.blocks: a choice needs at least two"),
        ("model.width: [16, 16]", "model.width: a choice needs at least two distinct"),
        ("model.width: {16: }", "model.width: a choice needs at least two"),
        (
            "model.width: {16: 3, 32: }",
            "model.width: a space must map names to parameters, found 3",
        ),
        ("solver.method: {euler: {steps: 1 .. 2}, rk4: }", "unknown field 'steps'"),
        (
            "solver.method: {euler | rk4: , rk4: }",
            "solver.method: duplicate option rk4",
        ),
        ("solver.method: {1: , 2: }", "solver.method: 1 is not one of"),
        ("model.width: 16 .. x", "model.width: a range needs numbers, found 'x'"),
        ("model.width: wide", "model.width: .* valid integer, found 'wide'"),
        ("model.width: [[1, 2], 3]", "model.width"),
        ("3: [1, 2]", "name must be a field, found 3"),
    ],
)
def test_an_error_in_a_file_names_the_parameter(text, message):
    with pytest.raises(ConfigurationError, match=message):
        from_dict(parse_yaml(text, "mine.yaml"))
