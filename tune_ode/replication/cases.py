"""What a comparison's cases are: METHOD:GRADIENT, or the baseline without an ODE, as settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from tune_ode.config import TrialConfig
from tune_ode.config.fields import config_fields, tag_of
from tune_ode.config.solver import AdaptiveMethod, FixedGridMethod, Gradient
from tune_ode.config.trial import TAGS, dotted_paths
from tune_ode.errors import UsageError, suggest_name

CLASSIC = "classic"
"""Stands for `CLASSIC_CASES` in a list of cases."""
CLASSIC_CASES = ("dopri5:backprop", "euler:adjoint", "rk4:adjoint", "dopri5:adjoint")
RESNET = "resnet"
"""The case without an ODE: as many residual blocks as the classic baseline has."""
_RESNET_SETTINGS = {"model.architecture": "resnet", "model.blocks": 6}


def settings_of(case: str) -> dict[str, Any]:
    """Return the settings that a case's name stands for, by dotted path.

    Raises:
        QuestionError: there is no such case.
    """
    if case == RESNET:
        return dict(_RESNET_SETTINGS)
    method, colon, gradient = case.partition(":")
    if not colon:
        raise UsageError(
            f"--cases takes METHOD:GRADIENT (such as rk4:backprop), {RESNET} or {CLASSIC}, found "
            f"'{case}'"
        )
    methods = get_args(FixedGridMethod) + get_args(AdaptiveMethod)
    for kind, name, valid in (
        ("method", method, methods),
        ("gradient", gradient, get_args(Gradient)),
    ):
        if name not in valid:
            raise UsageError(f"--cases {case}: {suggest_name(kind, name, valid)}")
    return {"solver.method": method, "solver.gradient": gradient}


def fixed_in(fix: Mapping[str, Any], base: TrialConfig, case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fixed settings that a case has: not all solvers have steps, or tolerances.

    Args:
        fix: settings by dotted path.
        base: what the case's settings are set on.
        case: its settings.
    """
    kinds = {tag: fix[tag] for tag in TAGS if tag in fix}
    here = dotted_paths(base.with_values(kinds | dict(case)).to_dict())
    idle = _idle(fix, case)
    return {
        path: value
        for path, value in fix.items()
        # an unknown path goes on, to be refused with the nearest names
        if (path in here or path not in config_fields() or tag_of(path) != "solver.method")
        and path not in idle
    }


def _idle(fix: Mapping[str, Any], case: Mapping[str, Any]) -> set[str]:
    """Return the settings of the backward solve that have no meaning in a case."""
    on_grid, adaptive = {"solver.adjoint_steps"}, {"solver.adjoint_rtol", "solver.adjoint_atol"}
    if "adjoint" not in case.get("solver.gradient", ""):
        return {"solver.adjoint_method"} | on_grid | adaptive
    method = fix.get("solver.adjoint_method") or case["solver.method"]
    return adaptive if method in get_args(FixedGridMethod) else on_grid
