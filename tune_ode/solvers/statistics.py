"""Cost counters of a solve, and the wrapper of the ODE function that counts and bounds calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from torch import Tensor

from tune_ode.config import FixedGridSolver, SolverConfig
from tune_ode.errors import SolveFailed
from tune_ode.solvers.control import Phase


@dataclass(slots=True)
class SolveStatistics:
    """Counts since the last `reset`; `+` adds field by field.

    One evaluation is one call of the ODE function on a batch.
    """

    evaluations_forward: int = 0
    """Evaluations in forward passes, including rejected steps."""
    evaluations_backward: int = 0
    """Evaluations in backward passes; 0 with backprop."""
    vjp_backward: int = 0
    """Evaluations differentiated in backward passes. With backprop: those of the forward pass that
    the result depends on, which excludes rejected steps. With the adjoint: those of its solve."""
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
    """The ODE function of one solve, with every call counted and bounded.

    Args:
        function: f(t, x) → dx/dt of the shape of x.
        config: solver; `max_evaluations` bounds the forward pass and each backward pass.
        statistics: incremented by calls and by their differentiation.
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
        self.phase: Phase = "forward"
        self.calls = 0

    def begin_backward(self, gradients: tuple[Tensor, ...] = ()) -> None:
        """Count the following calls as a backward pass with a separate bound; an autograd hook."""
        self.phase = "backward"
        self.calls = 0

    def __call__(self, t: float | Tensor, x: Tensor) -> Tensor:
        """Evaluate f(t, x).

        Raises:
            SolveFailed: the pass exceeded `max_evaluations`.
        """
        self.calls += 1
        if self.calls > self.config.max_evaluations:
            raise SolveFailed(self._exceeded(t))
        if self.phase == "forward":
            self.statistics.evaluations_forward += 1
        else:
            self.statistics.evaluations_backward += 1
        derivative = self.function(t, x)
        # Autograd calls this only if a gradient reaches the evaluation. A leaf (a constant f) has
        # nothing to differentiate.
        if derivative.grad_fn is not None:
            derivative.grad_fn.register_prehook(self._count_vjp)
        return derivative

    def _count_vjp(self, gradients: tuple[Tensor, ...]) -> None:
        self.statistics.vjp_backward += 1

    def _exceeded(self, t: float | Tensor) -> str:
        config = self.config
        at = float(t.detach() if isinstance(t, Tensor) else t)
        remedy = (
            "use fewer solver.steps"
            if isinstance(config, FixedGridSolver)
            else f"loosen solver.rtol ({config.rtol:g}) and solver.atol "
            f"({config.absolute_tolerance:g}), lower the learning rate, add weight decay"
        )
        return (
            f"a {self.phase} solve must finish within solver.max_evaluations="
            f"{config.max_evaluations} function evaluations, but {config.method} only reached "
            f"t={at:.3g}; {remedy}, or raise solver.max_evaluations"
        )
