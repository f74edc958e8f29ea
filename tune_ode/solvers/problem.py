"""What is to be solved: an ODE function, its parameters, an interval, a solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from tune_ode.config import SolverConfig
from tune_ode.solvers.adaptive import FirstStep, StepCounts
from tune_ode.solvers.integrate import integrate
from tune_ode.solvers.runge_kutta import State
from tune_ode.solvers.statistics import CountedFunction, SolveStatistics
from tune_ode.solvers.trace import TracedStep


@dataclass(slots=True)
class StepSizeCache:
    """First steps that adaptive solves of one training hand on from batch to batch."""

    forward: FirstStep = field(default_factory=FirstStep)
    backward: FirstStep = field(default_factory=FirstStep)
    """Of the adjoint's solve, backward in time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An initial value problem from 0 to `end_time`, and how to solve it."""

    function: CountedFunction
    parameters: tuple[Tensor, ...]
    """What the function depends on beside t and x."""
    config: SolverConfig
    end_time: float
    statistics: SolveStatistics
    carried: StepSizeCache | None = None
    """What the solves before leave to this one; None: nothing, and it leaves nothing."""

    def vector_field(self, t: float | Tensor, state: State) -> State:
        """Return (f(t, x),), in x's precision whatever the function computes in."""
        (x,) = state
        return (self.function(t, x).to(x.dtype),)

    def solve(self, x: Tensor, record: Callable[[TracedStep], None] | None = None) -> Tensor:
        """Return x(T), and count the steps; differentiable where gradients are enabled."""
        counts = StepCounts()
        try:
            (end,) = integrate(
                self.vector_field,
                self.config,
                (x,),
                start=0.0,
                end=self.end_time,
                where="forward",
                counts=counts,
                record=record,
                carried=None if self.carried is None else self.carried.forward,
            )
        finally:
            self.statistics.steps += counts.accepted
            self.statistics.rejected_steps += counts.rejected
        return end
