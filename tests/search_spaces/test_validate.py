"""Validation finds values that exclude each other, in any branch."""

import pytest

from search_spaces import Choice, Fixed, Float, Int, Space, resolve_space
from search_spaces.image_constraints import fit_to_images
from search_spaces.validate import probes, validate
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError

BASE = TrialConfig()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"solver.method": Choice("euler", "dopri5"), "solver.steps": Int(1, 8)},
            "solver.steps is not a field of solver.method=dopri5, but of euler",
        ),
        ({"solver.rtol": Float(0.1, 0.2)}, "not a field of solver.method=rk4"),
        (
            {
                "solver.gradient": Choice("backprop", "adjoint"),
                "model.ode.normalization": Choice("group", "batch"),
            },
            "solver.gradient=backprop",
        ),
        (
            {
                "schedule.name": Choice("cosine", "onecycle"),
                "schedule.warmup": Float(0.0, 0.2),
            },
            "onecycle warms up by itself",
        ),
        (
            {"optimizer.momentum": Float(0.0, 0.9), "optimizer.nesterov": Choice(False, True)},
            "needs a momentum above 0",
        ),
        (
            {
                "solver.gradient": Choice(
                    {
                        "backprop": None,
                        "recompute": None,
                        "adjoint": Space({"solver.adjoint_method": Choice("rk4", "tsit5")}),
                    }
                ),
                "solver.method": Choice("euler", "heun2", "midpoint", "explicit_adams"),
            },
            "tsit5|recompute",
        ),
    ],
)
def test_fields_that_exclude_each_other_are_an_error(parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        validate(Space(parameters), BASE)


def test_every_option_and_bound_occurs_in_the_probes():
    found = {}
    for point in probes(resolve_space("full")):
        for name, value in point.items():
            found.setdefault(name, set()).add(value)
    for name, parameter, _ in resolve_space("full").walk():
        expected = getattr(parameter, "options", None) or (parameter.low, parameter.high)
        assert set(expected) <= found[name]


def test_a_stem_that_shrinks_the_images_too_much_is_an_error():
    space = Space({"model.stem.padding": Choice(0, 1)})
    base = BASE.with_values({"model.stem.stages": 1})
    with pytest.raises(ConfigurationError, match="shrinks 8×8 images to 3×3"):
        validate(space, base, 8)
    validate(space, base, 28)


def stages(padding_0, padding_1):
    return Space(
        {
            "model.stem.padding": Choice(
                {
                    0: Space({"model.stem.stages@0": padding_0}),
                    1: Space({"model.stem.stages@1": padding_1}),
                }
            )
        }
    )


def test_numbers_of_stages_too_large_for_the_images_are_removed():
    space, notes = fit_to_images(stages(Choice(0, 1, 2), Int(0, 3)), BASE, 1, 8)
    assert space == stages(Fixed(0), Int(0, 1))
    assert notes == [
        "model.stem.stages@0 is 0: the images are 8×8",
        "model.stem.stages@1 is 0 .. 1: the images are 8×8",
    ]


def test_the_automatic_number_of_stages_is_not_duplicated():
    # 28×28 without padding: 26, 13, 6
    space, _ = fit_to_images(stages(Choice(None, 0, 1, 2), Choice(1, 2)), BASE, 1, 28)
    assert space == stages(Choice(None, 0, 1), Choice(1, 2))


def test_stages_with_a_searched_padding_are_valid_for_both():
    space = Space({"model.stem.padding": Choice(0, 1), "model.stem.stages": Choice(0, 1)})
    assert "model.stem.stages" not in fit_to_images(space, BASE, 1, 8)[0].names
    with pytest.raises(ConfigurationError, match="model.stem.padding to 1"):
        fit_to_images(Space({"model.stem.stages": Choice(1, 2)}), BASE, 1, 8)


def test_colour_jitter_is_removed_for_grey_images():
    space, notes = fit_to_images(resolve_space("training"), BASE, 1, 28)
    assert "data.augmentation.hue" not in space.names
    assert "data.augmentation.contrast" in space.names
    assert "grey" in notes[0]
    assert fit_to_images(resolve_space("training"), BASE, 3, 28) == (resolve_space("training"), [])
