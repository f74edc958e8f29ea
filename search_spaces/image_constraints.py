"""Restrict a space to what the images of a search support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.parameters import Fixed, Float, Int, path_of
from search_spaces.restrict import fix, restrict
from search_spaces.space import Choice, Parameter, Space
from tune_ode.config import StemConfig, TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import ConfigurationError

_STAGES = "model.stem.stages"
_COLOUR_FIELDS = ("data.augmentation.saturation", "data.augmentation.hue")


def fit_to_images(
    space: Space, base: TrialConfig, channels: int, size: int
) -> tuple[Space, list[str]]:
    """Return the part of a space that images of one size support.

    Removes numbers of stride-2 stages that shrink the state below its smallest size with any stem
    of their branch, or that duplicate null, the automatic number. For grey images, removes colour
    jitter.

    Args:
        space: the space to restrict.
        base: the configuration that its points modify.
        channels: image channels; 1 is grey.
        size: side of the (square) images in pixels.

    Returns:
        The space, and a note for each restricted parameter.

    Raises:
        ConfigurationError: no number of stages fits.
    """
    notes = []
    idle = [
        path
        for path in _COLOUR_FIELDS
        if channels == 1 and any(path_of(name) == path for name in space.names)
    ]
    if idle:
        fields = dotted_paths(base.to_dict())
        space = fix(space, {path: fields[path] for path in idle})
        notes.append(f"no {' and '.join(idle)}: the images are grey")
    fits: dict[str, Parameter] = {}
    for name, parameter, stems in _stages(space, space, base, {}):
        # a name in several branches keeps what is valid in all of them
        fits[name] = feasible = _feasible(name, fits.get(name, parameter), stems, size)
        if feasible != parameter:
            notes.append(f"{name} is {feasible}: the images are {size}×{size}")
    # sorted, so that a name with a branch is applied after its path
    return restrict(space, dict(sorted(fits.items()))), notes


def _stages(
    space: Space, root: Space, base: TrialConfig, opened_by: Mapping[str, Any]
) -> Iterator[tuple[str, Parameter, list[StemConfig]]]:
    """Yield each parameter for the number of stages, with the stems it can occur with."""
    for name, parameter in space.parameters.items():
        if path_of(name) == _STAGES and not isinstance(parameter, Fixed):
            yield (
                name,
                parameter,
                [
                    base.model.stem.model_copy(update={"kind": kind, "padding": padding})
                    for kind in _candidates("model.stem.kind", root, base, opened_by)
                    for padding in _candidates("model.stem.padding", root, base, opened_by)
                ],
            )
        if isinstance(parameter, Choice):
            for option, branch in parameter.branches.items():
                yield from _stages(branch, root, base, {**opened_by, path_of(name): option})


def _candidates(
    path: str, root: Space, base: TrialConfig, opened_by: Mapping[str, Any]
) -> list[Any]:
    if path in opened_by:
        return [opened_by[path]]
    values = [dotted_paths(base.to_dict())[path]]
    for name, parameter, _ in root.walk():
        if path_of(name) == path:
            values += _values(parameter)
    return list(dict.fromkeys(values))


def _values(parameter: Parameter) -> list[Any]:
    match parameter:
        case Choice():
            return list(parameter.options)
        case Int(low, high, _, step):
            return list(range(low, high + 1, step))
        case Fixed(value):
            return [value]
        case Float():
            return []


def _feasible(name: str, parameter: Parameter, stems: list[StemConfig], size: int) -> Parameter:
    values = _values(parameter)
    numbers = {value: [_state(stem, value, size) for stem in stems] for value in values}
    feasible = [
        value
        for value in values
        if all(numbers[value])
        and (value is None or None not in values or numbers[value] != numbers[None])
    ]
    if not feasible:
        # raises, with the reason, unless the smallest number fits this stem
        stem_sizes(stems[0].model_copy(update={"stages": values[0]}), size)
        raise ConfigurationError(
            f"{name}: none of {parameter} fits {size}×{size} images with every stem of this space; "
            "set model.stem.padding to 1"
        )
    if feasible == values:
        return parameter
    if len(feasible) == 1:
        return Fixed(feasible[0])
    if isinstance(parameter, Int):  # the lower part of the range
        return Int(feasible[0], feasible[-1], parameter.log, parameter.step)
    return Choice(*feasible)


def _state(stem: StemConfig, stages: int | None, size: int) -> int:
    """Return the side of the state in pixels; 0 if it is too small."""
    try:
        return stem_sizes(stem.model_copy(update={"stages": stages}), size)[-1]
    except ConfigurationError:
        return 0
