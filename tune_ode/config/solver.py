"""Solver of the ODE, and method of differentiation."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from tune_ode.config.base import ConfigModel

FixedGridMethod = Literal[
    "euler", "midpoint", "heun2", "heun3", "rk4", "rk4_classic", "explicit_adams"
]
"""Explicit methods on a uniform grid; `rk4` is the 3/8 rule, as in torchdiffeq."""
AdaptiveMethod = Literal["adaptive_heun", "fehlberg2", "bosh3", "dopri5", "tsit5", "dopri8"]
"""Explicit embedded Runge–Kutta pairs with step-size control."""
Gradient = Literal["backprop", "recompute", "adjoint", "adjoint_seminorm"]
Backend = Literal["native", "torchdiffeq"]
StepControl = Literal["integral", "pi"]

TORCHDIFFEQ_ONLY = frozenset({"explicit_adams", "fehlberg2", "dopri8"})
"""Methods that only torchdiffeq has."""
NATIVE_ONLY = frozenset({"rk4_classic", "tsit5"})
"""Methods that torchdiffeq 0.2.5 does not have."""

Tolerance = Annotated[float, Field(gt=0, le=1)]
Steps = Annotated[int, Field(ge=1, le=1_000)]


class _Solver(ConfigModel):
    method: str
    gradient: Gradient = "backprop"
    """`backprop`: through the solver's steps; exact for them, memory grows with their number.
    `recompute`: the same gradient, recomputing each step in the backward pass; memory for one step
    and one state per step. `adjoint`: a second ODE, solved backward; constant memory, inexact
    (Chen et al. 2018). `adjoint_seminorm`: the adjoint with step control that ignores the error
    of the parameters' gradients (Kidger et al. 2021)."""
    adjoint_method: FixedGridMethod | AdaptiveMethod | None = None
    """Method of the backward solve; None: the forward method. The `adjoint_*` fields are valid
    with the two adjoint gradients only."""
    adjoint_steps: Steps | None = None
    """Steps of a fixed-grid backward solve; None: as many as forward, or 1."""
    adjoint_rtol: Tolerance | None = None
    """Relative tolerance of an adaptive backward solve; None: as forward, or 1e-3."""
    adjoint_atol: Tolerance | None = None
    """Its absolute tolerance, of an adjoint with a root mean square of 1 at the end; None: `atol`
    if that is set, else the relative one."""
    max_evaluations: Annotated[int, Field(ge=1)] = 2_000
    """Limit of function evaluations per forward or backward solve; beyond it the trial diverges."""
    backend: Backend | None = None
    """Integrators of this package (`native`) or of torchdiffeq; None: native ones if they have the
    method."""

    @property
    def uses_adjoint(self) -> bool:
        """Whether the gradient solves a second ODE backward."""
        return self.gradient in ("adjoint", "adjoint_seminorm")

    @property
    def chosen_backend(self) -> Backend:
        """The backend, with the default filled in."""
        if self.backend is not None:
            return self.backend
        methods = {self.method, self.adjoint_method}
        return "torchdiffeq" if methods & TORCHDIFFEQ_ONLY else "native"

    @model_validator(mode="after")
    def _adjoint_fields_need_an_adjoint(self) -> Self:
        present = [
            name
            for name in ("adjoint_method", "adjoint_steps", "adjoint_rtol", "adjoint_atol")
            if getattr(self, name) is not None
        ]
        if not present:
            return self
        if not self.uses_adjoint:
            raise ValueError(
                f"solver.{present[0]} needs gradient adjoint or adjoint_seminorm, found "
                f"{self.gradient}; leave it out"
            )
        on_grid = (self.adjoint_method or self.method) in get_args(FixedGridMethod)
        unused = [name for name in present if name.endswith("tol" if on_grid else "steps")]
        if unused:
            raise ValueError(
                f"solver.{unused[0]} has no effect on {self.adjoint_method or self.method}, which "
                f"{'has a fixed grid' if on_grid else 'is adaptive'}; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _backend_has_the_method(self) -> Self:
        for method in (self.method, self.adjoint_method):
            if self.chosen_backend == "native" and method in TORCHDIFFEQ_ONLY:
                raise ValueError(f"only torchdiffeq has {method}; leave solver.backend out")
            if self.chosen_backend == "torchdiffeq" and method in NATIVE_ONLY:
                raise ValueError(
                    f"torchdiffeq has no {method}; use solver.backend native and its methods"
                )
        if self.chosen_backend == "torchdiffeq" and self.gradient == "recompute":
            raise ValueError(
                "torchdiffeq cannot recompute steps; use solver.gradient backprop, adjoint or "
                "adjoint_seminorm, or a method of solver.backend native"
            )
        return self


class FixedGridSolver(_Solver):
    """A method with a fixed number of equal steps."""

    method: FixedGridMethod = "rk4"
    steps: Steps = 1
    """Equal steps over [0, T]."""


class AdaptiveSolver(_Solver):
    """A method with step-size control, which keeps the local error within rtol·|x| + atol."""

    method: AdaptiveMethod = "dopri5"
    rtol: Tolerance = 1e-3
    """Relative tolerance."""
    atol: Tolerance | None = None
    """Absolute tolerance; None: `rtol`."""
    step_control: StepControl = "integral"
    """Step-size control from the last error (`integral`, the classic rule), or from the last two
    (`pi`, Gustafsson 1991), which rejects fewer steps."""
    first_step: Annotated[float, Field(gt=0)] | None = None
    """Initial step size; None: see `carry_step`."""
    carry_step: bool = True
    """Start from the step size that suited the previous training batch. Otherwise (the first batch,
    `False`, torchdiffeq) estimate it from the function at t = 0, for one evaluation."""
    min_step: Annotated[float, Field(ge=0)] = 0.0
    """A smaller step ends the solve; 0: only one too small to advance t does."""
    max_steps: Annotated[int, Field(ge=1)] = 10_000
    """Limit of steps per solve, forward or backward, rejected ones included."""

    @property
    def absolute_tolerance(self) -> float:
        """The absolute tolerance, with the default filled in."""
        return self.rtol if self.atol is None else self.atol

    @model_validator(mode="after")
    def _torchdiffeq_has_integral_control(self) -> Self:
        if self.chosen_backend == "torchdiffeq" and self.step_control != "integral":
            raise ValueError("torchdiffeq has no PI step control; use solver.step_control integral")
        return self


SolverConfig = Annotated[FixedGridSolver | AdaptiveSolver, Field(discriminator="method")]

REFERENCE_SOLVER = AdaptiveSolver(rtol=1e-5, max_evaluations=2_000)
"""Solver of reference solutions. Single precision resolves 1e-7, and the error accumulated over the
steps must stay below the tolerance."""


def backward_solver(config: FixedGridSolver | AdaptiveSolver) -> FixedGridSolver | AdaptiveSolver:
    """Return the solver of the adjoint's backward pass, with its defaults filled in."""
    method = config.adjoint_method or config.method
    if method in get_args(FixedGridMethod):
        steps = config.adjoint_steps or getattr(config, "steps", 1)
        return FixedGridSolver.model_validate(
            {"method": method, "steps": steps, "max_evaluations": config.max_evaluations}
        )
    shared = {"step_control", "min_step", "max_steps", "max_evaluations", "rtol", "atol"}
    values = {name: getattr(config, name) for name in shared if hasattr(config, name)}
    if config.adjoint_rtol is not None:
        values["rtol"] = config.adjoint_rtol
    if config.adjoint_atol is not None:
        values["atol"] = config.adjoint_atol
    return AdaptiveSolver.model_validate({"method": method, **values})
