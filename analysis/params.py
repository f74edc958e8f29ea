"""Compact text of searched parameters, for tables and legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

_SHORT = MappingProxyType(
    {
        "learning_rate": "lr",
        "adamw_learning_rate": "adamw lr",
        "weight_decay": "wd",
        "label_smoothing": "smoothing",
        "normalization": "norm",
        "convolutions": "convs",
        "batch_size": "batch",
    }
)
_SELF_EXPLANATORY = frozenset({"method", "gradient", "name", "kind", "architecture"})
_NAMED_BY_PARENT = frozenset({"method", "name", "kind"})
_AMBIGUOUS = frozenset({"normalization", "activation", "hidden_width"})


def compact_params(params: Mapping[str, Any]) -> str:
    """Return parameters as short text: the last part of each name with its value.

    Self-explanatory values (`dopri5`, `cosine`) stand without a name;
    the branch after @ is dropped.

    >>> compact_params({"solver.method": "rk4", "optimizer.learning_rate@sgd": 0.1234})
    'rk4, lr 0.123'
    """
    return ", ".join(_compact(name, value) for name, value in params.items())


def varied_params(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of parameters that differ between trials, by first appearance.

    A parameter that only some trials have differs. Of a single trial, all do.

    >>> varied_params([{"width": 8, "depth": 2}, {"width": 16, "depth": 2}])
    ['width']
    """
    values: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.items():
            values.setdefault(name, set()).add(repr(value))
    partial = {name for name in values if any(name not in trial for trial in trials)}
    return [
        name
        for name, different in values.items()
        if len(different) > 1 or name in partial or len(trials) == 1
    ]


def without_branch(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by name without the branch.

    A trial has one branch only, so `optimizer.learning_rate@sgd` and `@adamw` are one column.
    """
    return {name.partition("@")[0]: value for name, value in params.items()}


def headings(names: Iterable[str]) -> dict[str, str]:
    """Return a short, unique heading for each parameter, given by name without branch.

    >>> headings(["solver.method", "model.width", "model.head.width"])
    {'solver.method': 'solver', 'model.width': 'width', 'model.head.width': 'head width'}
    """
    names = list(names)
    short = {name: _heading(name) for name in names}
    for parts in (2, 3):
        taken = list(short.values())
        short = {
            name: heading if taken.count(heading) == 1 else " ".join(name.split(".")[-parts:])
            for name, heading in short.items()
        }
    return short


def format_param(value: Any) -> str:
    """Return the value of a parameter for a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _heading(name: str) -> str:
    """Return a name that says what the value is, without the value."""
    *parents, leaf = name.split(".")
    if leaf in _NAMED_BY_PARENT and parents:
        return parents[-1]
    return _short(parents, leaf).replace("_", " ")


def _short(parents: Sequence[str], leaf: str) -> str:
    short = _SHORT.get(leaf, leaf)
    if parents and (leaf in _AMBIGUOUS or (leaf == "width" and parents[-1] != "model")):
        # model.normalization applies to all layers outside the ODE function
        return f"{'outer' if parents[-1] == 'model' else parents[-1]} {short}"
    return short


def _compact(name: str, value: Any) -> str:
    *parents, leaf = name.partition("@")[0].split(".")
    if leaf in _SELF_EXPLANATORY:
        return str(value)
    short = _short(parents, leaf)
    if isinstance(value, bool):
        return short if value else f"no {short}"
    return f"{short} {'default' if value is None else format_param(value)}"
