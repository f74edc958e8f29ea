"""The ready-made spaces, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from search_spaces.choice import Choice
from search_spaces.parameters import Float, Int
from search_spaces.space import Space
from tune_ode.errors import ConfigurationError, unknown_name

# What decides most, in ranges where most points train: a first answer from about twenty trials.
# The classic recipe's values lie inside, so that the default configuration is a point of it.
_QUICK = Space(
    {
        "solver.method": Choice(
            {
                "euler": Space({"solver.steps@euler": Int(1, 8, log=True)}),
                "midpoint": Space({"solver.steps@midpoint": Int(1, 4)}),
                "rk4": Space({"solver.steps@rk4": Int(1, 2)}),
                "dopri5": Space({"solver.rtol": Float(1e-4, 1e-1, log=True)}),
            }
        ),
        "solver.gradient": Choice("backprop", "adjoint"),
        "model.width": Choice(16, 32, 64, 96),
        "model.ode.convolutions": Int(1, 3),
        "model.ode.normalization": Choice("group", "layer", "none"),
        "model.normalization": Choice("group", "layer", "batch"),
        "model.head.dropout": Float(0.0, 0.5),
        "optimizer.name": Choice(
            {
                "sgd": Space({"optimizer.learning_rate@sgd": Float(1e-2, 0.5, log=True)}),
                "adamw": Space({"optimizer.learning_rate@adamw": Float(3e-4, 2e-2, log=True)}),
                "muon": Space(
                    {
                        "optimizer.learning_rate@muon": Float(5e-3, 0.1, log=True),
                        "optimizer.adamw_learning_rate": Float(1e-3, 2e-2, log=True),
                    }
                ),
            }
        ),
        "schedule.name": Choice("constant", "cosine", "onecycle"),
        "training.batch_size": Choice(32, 64, 128),
        "training.epochs": Int(3, 30, log=True),
    }
)

PRESETS: Mapping[str, tuple[Space, str]] = MappingProxyType(
    {
        "quick": (
            _QUICK,
            "solver, gradient, depth, width, norms, dropout, optimizer, schedule, batch, epochs",
        ),
    }
)
"""Name → (space, what it explores in one line)."""


def preset(name: str) -> Space:
    """Return a ready-made space.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigurationError(unknown_name("space", name, PRESETS))
    return PRESETS[name][0]
