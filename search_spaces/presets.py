"""The ready-made spaces, by name.

Each contains the default configuration, the first trial of a search.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from search_spaces.parameters import Float, Int, Value
from search_spaces.space import Choice, Parameter, Space
from tune_ode.config.execution import Precision
from tune_ode.config.model import Activation, Normalization, StemKind

# null: that of the state
_STEM_WIDTH = Space({"model.stem.width": Choice(None, 16, 32)})

# The parameters that matter most, in ranges where most points train: sized for 20 to 100 trials.
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
        # on a grid the seminorm equals the plain adjoint; with dopri5 it needs fewer evaluations
        "solver.gradient": Choice("backprop", "adjoint_seminorm"),
        # with a cheap solver, the stem takes most of the time of a step
        "model.stem.kind": Choice({"conv": _STEM_WIDTH, "pool": _STEM_WIDTH, "patch": None}),
        "model.width": Choice(16, 32, 48, 64, 96),
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

# Up to twelve evaluations of the ODE function per block, for every order. Excludes explicit_adams,
# fehlberg2 and dopri8: only torchdiffeq has them, so their times would compare implementations.
_FIXED_GRID: dict[Value, Space | None] = {
    "euler": Space({"solver.steps@euler": Int(1, 12, log=True)}),
    **dict.fromkeys(("midpoint", "heun2"), Space({"solver.steps@order2": Int(1, 6, log=True)})),
    "heun3": Space({"solver.steps@order3": Int(1, 4)}),
    **dict.fromkeys(("rk4", "rk4_classic"), Space({"solver.steps@order4": Int(1, 3)})),
}
_ADAPTIVE = ("adaptive_heun", "bosh3", "dopri5", "tsit5")
_TOLERANCE = Float(1e-5, 1e-1, log=True)
# one tolerance: unless it is set, the absolute one equals the relative one
_FORWARD_TOLERANCE = Space({"solver.rtol": _TOLERANCE})
_BACKWARD_STEPS = Space({"solver.adjoint_steps": Int(1, 12, log=True)})
_BACKWARD_TOLERANCE = Space({"solver.adjoint_rtol": _TOLERANCE})
_ADAPTIVE_BACKWARD: dict[Value, Space | None] = dict.fromkeys(_ADAPTIVE, _BACKWARD_TOLERANCE)

_SOLVERS = Space(
    {
        "solver.method": Choice({**_FIXED_GRID, **dict.fromkeys(_ADAPTIVE, _FORWARD_TOLERANCE)}),
        "solver.gradient": Choice(
            {
                "backprop": None,
                "recompute": None,
                "adjoint": Space(
                    {
                        # null: the forward solve's method, steps and tolerances
                        "solver.adjoint_method": Choice(
                            {
                                None: None,
                                **dict.fromkeys(_FIXED_GRID, _BACKWARD_STEPS),
                                **_ADAPTIVE_BACKWARD,
                            }
                        )
                    }
                ),
                # the seminorm changes step control: on a fixed grid it equals the plain adjoint
                "adjoint_seminorm": Space(
                    {"solver.adjoint_method@seminorm": Choice(_ADAPTIVE_BACKWARD)}
                ),
            }
        ),
    }
)

# null: as many stages as reduce the state to at most 8×8 pixels
_STAGES = Choice(None, 0, 1, 2, 3)
_HIDDEN_LAYER = Space({"model.head.hidden_width": Int(32, 512, log=True)})

_ARCHITECTURE = Space(
    {
        "model.blocks": Int(1, 3),
        "model.width": Choice(16, 32, 48, 64, 96, 128, 192, 256),
        "model.normalization": Choice(*get_args(Normalization)),
        "model.activation": Choice(*get_args(Activation)),
        "model.stem.kind": Choice(*get_args(StemKind)),
        "model.stem.width": Choice(None, 16, 32, 64),
        "model.stem.padding": Choice(
            {
                0: Space({"model.stem.stages@unpadded": _STAGES}),
                1: Space({"model.stem.stages@padded": _STAGES}),
            }
        ),
        "model.stem.extra_layers": Int(0, 2),
        "model.ode.convolutions": Int(1, 4),
        # inside the ODE function, batch normalization is ill-defined with the adjoint and harmful
        # without it
        "model.ode.normalization": Choice(*(n for n in get_args(Normalization) if n != "batch")),
        "model.ode.activation": Choice(*get_args(Activation)),
        "model.ode.augmented_channels": Int(0, 16, step=4),
        "model.ode.integration_time": Float(0.25, 4.0, log=True),
        "model.head.hidden_layers": Choice({0: None, 1: _HIDDEN_LAYER, 2: _HIDDEN_LAYER}),
        "model.head.dropout": Float(0.0, 0.5),
    }
)

# Coupled (in the gradient) and decoupled weight decay have different scales.
_COUPLED = Choice(0.0, 1e-5, 1e-4, 5e-4, 5e-3)
_DECOUPLED = Choice(0.0, 1e-4, 1e-3, 1e-2, 1e-1)
_ADAM: dict[str, Parameter] = {
    "optimizer.beta1": Float(0.8, 0.95),
    "optimizer.beta2": Choice(0.95, 0.99, 0.999),
}
_OPTIMIZERS = {
    "sgd": Space(
        {
            "optimizer.learning_rate@sgd": Float(1e-2, 0.5, log=True),
            "optimizer.momentum@sgd": Float(0.5, 0.99),
            "optimizer.nesterov": Choice(False, True),
            "optimizer.weight_decay@coupled": _COUPLED,
        }
    ),
    "adam": Space(
        {
            "optimizer.learning_rate@adam": Float(3e-4, 2e-2, log=True),
            **_ADAM,
            "optimizer.weight_decay@coupled": _COUPLED,
        }
    ),
    "adamw": Space(
        {
            "optimizer.learning_rate@adamw": Float(3e-4, 2e-2, log=True),
            **_ADAM,
            "optimizer.weight_decay@decoupled": _DECOUPLED,
        }
    ),
    "rmsprop": Space(
        {
            "optimizer.learning_rate@rmsprop": Float(1e-4, 1e-2, log=True),
            "optimizer.momentum@rmsprop": Choice(0.0, 0.5, 0.9),
            "optimizer.alpha": Choice(0.9, 0.99),
            "optimizer.weight_decay@coupled": _COUPLED,
        }
    ),
    "muon": Space(
        {
            "optimizer.learning_rate@muon": Float(5e-3, 0.1, log=True),
            "optimizer.momentum@muon": Float(0.8, 0.98),
            "optimizer.adamw_learning_rate": Float(1e-3, 2e-2, log=True),
            "optimizer.weight_decay@decoupled": _DECOUPLED,
        }
    ),
}

# in steps, so that 0 (off) is sampled; a continuous range would never sample it
_WARMUP: dict[str, Parameter] = {"schedule.warmup": Float(0.0, 0.2, step=0.05)}
_SCHEDULES = {
    "constant": Space(_WARMUP),
    "step": Space({"schedule.factor@step": Float(0.05, 0.5, log=True), **_WARMUP}),
    "cosine": Space({"schedule.final@cosine": Float(0.0, 0.2), **_WARMUP}),
    "onecycle": Space(
        {
            "schedule.peak": Float(0.1, 0.5),
            "schedule.initial": Float(0.01, 0.2, log=True),
        }
    ),
    "exponential": Space({"schedule.final@exponential": Float(1e-3, 0.3, log=True), **_WARMUP}),
    "plateau": Space(
        {"schedule.factor@plateau": Float(0.1, 0.7), "schedule.patience": Int(0, 4), **_WARMUP}
    ),
}

_STRENGTH = Float(0.0, 0.4, step=0.1)

_AUGMENTATION = Space(
    {
        "data.augmentation.crop": Int(0, 4),
        "data.augmentation.flip": Choice(False, True),
        "data.augmentation.rotation": Float(0.0, 30.0, step=5.0),
        "data.augmentation.brightness": _STRENGTH,
        "data.augmentation.contrast": _STRENGTH,
        "data.augmentation.saturation": _STRENGTH,
        "data.augmentation.hue": Float(0.0, 0.2, step=0.05),
    }
)

_TRAINING = (
    Space(
        {
            "optimizer.name": Choice(_OPTIMIZERS),
            "schedule.name": Choice(_SCHEDULES),
            "training.epochs": Int(3, 40, log=True),
            "training.batch_size": Choice(32, 64, 128, 256),
            "training.label_smoothing": Float(0.0, 0.3),
            "training.gradient_clip": Choice(None, 0.5, 1.0, 2.0, 5.0),
        }
    )
    | _AUGMENTATION
)

_PRECISION = Space({"execution.precision": Choice(*get_args(Precision))})

PRESETS: Mapping[str, tuple[Space, str]] = MappingProxyType(
    {
        "quick": (
            _QUICK,
            "solver, gradient, stem, depth, width, norms, dropout, optimizer, schedule, batch size",
        ),
        "solvers": (
            _SOLVERS,
            "method, steps or tolerances, gradient and its solver; everything else fixed",
        ),
        "architecture": (
            _ARCHITECTURE,
            "stem, blocks, ODE function, head, normalizations, activations, dropout",
        ),
        "training": (
            _TRAINING,
            "optimizer, schedule, epochs, batch, smoothing, clipping, augmentation",
        ),
        "full": (
            _SOLVERS | _ARCHITECTURE | _TRAINING | _PRECISION,
            "solvers, architecture, training and precision together",
        ),
    }
)
"""Name → (space, one-line description)."""
