"""An initial value problem: ODE function, parameters, interval and solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from tune_ode.config import SolverConfig
from tune_ode.solvers.adaptive import StepCounts, StepSizeCache
from tune_ode.solvers.integrate import integrate
from tune_ode.solvers.runge_kutta import State, TracedStep
from tune_ode.solvers.statistics import CountedFunction, SolveStatistics


@dataclass(frozen=True, slots=True)
class Problem:
    """An initial value problem on [0, t1], and how to solve it."""

    function: CountedFunction
    parameters: tuple[Tensor, ...]
    """Tensors that the function depends on in addition to t and x."""
    config: SolverConfig
    t1: float
    statistics: SolveStatistics
    step_sizes: StepSizeCache | None = None
    """First step sizes of the previous solve, updated by this one; None: estimate them."""

    def vector_field(self, t: float | Tensor, state: State) -> State:
        """Return (f(t, x),) in the dtype of x."""
        (x,) = state
        return (self.function(t, x).to(x.dtype),)

    def solve(self, x: Tensor, on_step: Callable[[TracedStep], None] | None = None) -> Tensor:
        """Return x(t1) and count the steps; differentiable where gradients are enabled."""
        counts = StepCounts()
        try:
            (solution,) = integrate(
                self.vector_field,
                self.config,
                (x,),
                t0=0.0,
                t1=self.t1,
                phase="forward",
                counts=counts,
                on_step=on_step,
                step_sizes=self.step_sizes,
            )
        finally:
            self.statistics.steps += counts.accepted
            self.statistics.rejected_steps += counts.rejected
        return solution
