"""What a solve costs, and how it is counted and bounded: by wrapping the ODE function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from torch import Tensor

from tune_ode.config import FixedGridSolver, SolverConfig
from tune_ode.errors import SolveFailed


@dataclass(slots=True)
class SolveStatistics:
    """Counts since the last `reset`; two add up field by field.

    One evaluation is one call of the ODE function on a whole batch.
    """

    evaluations_forward: int = 0
    """Evaluations made in forward passes, rejected steps included."""
    evaluations_backward: int = 0
    """Evaluations made anew in backward passes: the adjoint's; 0 with backprop."""
    vjp_backward: int = 0
    """Evaluations differentiated in backward passes: with backprop those of the forward pass that
    the result depends on (a rejected step's are not), with the adjoint its own."""
    steps: int = 0
    """Accepted steps of forward solves."""
    rejected_steps: int = 0
    """Rejected steps of forward solves; 0 on a fixed grid."""

    def __add__(self, other: SolveStatistics) -> SolveStatistics:
        names = [field.name for field in fields(self)]
        return SolveStatistics(**{n: getattr(self, n) + getattr(other, n) for n in names})

    def reset(self) -> None:
        """Set every count to zero."""
        for field in fields(self):
            setattr(self, field.name, 0)


class CountedFunction:
    """The ODE function as one solve sees it: every call counted, each pass held to its budget.

    Args:
        function: f(t, x) → dx/dt of x's shape.
        config: the solver; its `max_evaluations` bounds the forward pass and each backward pass.
        statistics: where calls and their differentiation are counted.
    """

    def __init__(
        self,
        function: Callable[[float | Tensor, Tensor], Tensor],
        config: SolverConfig,
        statistics: SolveStatistics,
    ) -> None:
        self.function = function
        self.config = config
        self.statistics = statistics
        self.calling: Literal["forward", "backward"] = "forward"
        self.calls = 0

    def begin_backward(self, gradients: tuple[Tensor, ...] = ()) -> None:
        """Count what follows as a backward pass, with a budget of its own; an autograd hook."""
        self.calling = "backward"
        self.calls = 0

    def __call__(self, t: float | Tensor, x: Tensor) -> Tensor:
        """Evaluate f(t, x).

        Raises:
            SolveFailed: the pass has used up its evaluations.
        """
        self.calls += 1
        if self.calls > self.config.max_evaluations:
            raise SolveFailed(self._over_budget(t))
        if self.calling == "forward":
            self.statistics.evaluations_forward += 1
        else:
            self.statistics.evaluations_backward += 1
        derivative = self.function(t, x)
        # Autograd calls this only if a gradient reaches the evaluation, so that what is really
        # differentiated is counted. A leaf (a constant f) has nothing to differentiate.
        if derivative.grad_fn is not None:
            derivative.grad_fn.register_prehook(self._count_vjp)
        return derivative

    def _count_vjp(self, gradients: tuple[Tensor, ...]) -> None:
        self.statistics.vjp_backward += 1

    def _over_budget(self, t: float | Tensor) -> str:
        config = self.config
        at = float(t.detach() if isinstance(t, Tensor) else t)
        remedy = (
            "use fewer solver.steps"
            if isinstance(config, FixedGridSolver)
            else f"loosen solver.rtol ({config.rtol:g}) and solver.atol ({config.atol:g}), lower "
            "the learning rate, add weight decay"
        )
        return (
            f"a {self.calling} solve must end within solver.max_evaluations="
            f"{config.max_evaluations} function evaluations; by then {config.method} was at "
            f"t={at:.3g}; {remedy}, or raise solver.max_evaluations"
        )
