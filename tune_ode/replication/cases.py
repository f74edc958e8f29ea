"""Cases of a comparison: METHOD:GRADIENT, or a ResNet as the baseline without an ODE."""

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
"""The case without an ODE, with as many residual blocks as the classic baseline."""
_RESNET_FIELDS = {"model.architecture": "resnet", "model.blocks": 6}


def case_fields(case: str) -> dict[str, Any]:
    """Return the field values of a case, by dotted path.

    Raises:
        UsageError: there is no such case.
    """
    if case == RESNET:
        return dict(_RESNET_FIELDS)
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


def applicable_fields(
    fix: Mapping[str, Any], base: TrialConfig, case: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fixed values whose field a case has: not all solvers have steps, or tolerances.

    Args:
        fix: values by dotted path.
        base: configuration that the values are applied to.
        case: field values of the case.
    """
    variants = {tag: fix[tag] for tag in TAGS if tag in fix}
    present = dotted_paths(base.with_values(variants | dict(case)).to_dict())
    unused = _unused_fields(fix, case)
    return {
        path: value
        for path, value in fix.items()
        # keep unknown paths: their error suggests the nearest names
        if (path in present or path not in config_fields() or tag_of(path) != "solver.method")
        and path not in unused
    }


def _unused_fields(fix: Mapping[str, Any], case: Mapping[str, Any]) -> set[str]:
    """Return the fields of the backward solve that a case does not use."""
    fixed_grid, adaptive = {"solver.adjoint_steps"}, {"solver.adjoint_rtol", "solver.adjoint_atol"}
    if "adjoint" not in case.get("solver.gradient", ""):
        return {"solver.adjoint_method"} | fixed_grid | adaptive
    method = fix.get("solver.adjoint_method") or case["solver.method"]
    return adaptive if method in get_args(FixedGridMethod) else fixed_grid
