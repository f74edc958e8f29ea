"""A space fitted to the images of a search: without what small or grey images have no use for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, Float, Int, path_of
from search_spaces.space import Parameter, Space
from tune_ode.config import StemConfig, TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import ConfigurationError

_STAGES = "model.stem.stages"
_OF_COLOUR = ("data.augmentation.saturation", "data.augmentation.hue")


def fit_to_images(
    space: Space, base: TrialConfig, channels: int, size: int
) -> tuple[Space, list[str]]:
    """Return what is left to search on images of one kind.

    Numbers of stride-2 stages go that would shrink the state under its smallest size with any stem
    that the branch allows, or that null, the automatic number, stands for already. Colour jitter
    of grey images goes too.

    Args:
        space: what was asked for.
        base: what its points are set on.
        channels: of an image; 1 is grey.
        size: pixels a side of the (square) images.

    Returns:
        The space, and a line for each parameter that lost something.

    Raises:
        ConfigurationError: no number of stages fits.
    """
    notes = []
    idle = [
        path
        for path in _OF_COLOUR
        if channels == 1 and any(path_of(name) == path for name in space.names)
    ]
    if idle:
        settings = dotted_paths(base.to_dict())
        space = space.fixed({path: settings[path] for path in idle})
        notes.append(f"no {' and '.join(idle)}: the images are grey")
    fits: dict[str, Parameter] = {}
    for name, parameter, stems in _stages(space, space, base, {}):
        # a name that stands in several branches takes what fits in all of them
        fits[name] = left = _feasible(name, fits.get(name, parameter), stems, size)
        if left != parameter:
            notes.append(f"{name} is {left}: the images are {size}×{size}")
    return (space & fits if fits else space), notes


def _stages(
    space: Space, root: Space, base: TrialConfig, opened_by: Mapping[str, Any]
) -> Iterator[tuple[str, Parameter, list[StemConfig]]]:
    """Yield each parameter of the stages with the stems it may meet."""
    for name, parameter in space.parameters.items():
        if path_of(name) == _STAGES and not isinstance(parameter, Fixed):
            yield (
                name,
                parameter,
                [
                    base.model.stem.model_copy(update={"kind": kind, "padding": padding})
                    for kind in _possible("model.stem.kind", root, base, opened_by)
                    for padding in _possible("model.stem.padding", root, base, opened_by)
                ],
            )
        if isinstance(parameter, Choice):
            for option, branch in parameter.branches.items():
                yield from _stages(branch, root, base, {**opened_by, path_of(name): option})


def _possible(path: str, root: Space, base: TrialConfig, opened_by: Mapping[str, Any]) -> list[Any]:
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
    left = [
        value
        for value in values
        if all(numbers[value])
        and (value is None or None not in values or numbers[value] != numbers[None])
    ]
    if not left:
        # says what is wrong with the smallest
        stem_sizes(stems[0].model_copy(update={"stages": values[0]}), size)
        raise ConfigurationError(
            f"{name}: none of {parameter} fits {size}×{size} images with every stem of this space; "
            "set model.stem.padding to 1"
        )
    if left == values:
        return parameter
    if len(left) == 1:
        return Fixed(left[0])
    if isinstance(parameter, Int):  # what fits of a range is its lower part
        return Int(left[0], left[-1], parameter.log, parameter.step)
    return Choice(*left)


def _state(stem: StemConfig, stages: int | None, size: int) -> int:
    """Return pixels a side of the state, 0 where it would be too small."""
    try:
        return stem_sizes(stem.model_copy(update={"stages": stages}), size)[-1]
    except ConfigurationError:
        return 0
