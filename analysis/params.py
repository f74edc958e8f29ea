"""Compact text of searched parameters, for tables and legends."""

from __future__ import annotations

from collections.abc import Mapping
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
_AMBIGUOUS = frozenset({"normalization", "activation", "hidden_width"})


def compact_params(params: Mapping[str, Any]) -> str:
    """Return parameters as short text: the last part of each name with its value.

    Self-explanatory values (`dopri5`, `cosine`) stand without a name;
    the branch after @ is dropped.

    >>> compact_params({"solver.method": "rk4", "optimizer.learning_rate@sgd": 0.1234})
    'rk4, lr 0.123'
    """
    return ", ".join(_compact(name, value) for name, value in params.items())


def _compact(name: str, value: Any) -> str:
    *parts, leaf = name.partition("@")[0].split(".")
    if leaf in _SELF_EXPLANATORY:
        return str(value)
    short = _SHORT.get(leaf, leaf)
    if leaf in _AMBIGUOUS and parts:
        # model.normalization applies to all layers outside the ODE function
        short = f"{'outer' if parts[-1] == 'model' else parts[-1]} {short}"
    if isinstance(value, bool):
        return short if value else f"no {short}"
    return f"{short} {value:.3g}" if isinstance(value, float) else f"{short} {value}"
