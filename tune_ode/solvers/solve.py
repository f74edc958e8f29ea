"""The one door: x(0) → x(T) of dx/dt = f(t, x)."""

from __future__ import annotations

from torch import Tensor, nn

from tune_ode.config import SolverConfig
from tune_ode.solvers import reference
from tune_ode.solvers.statistics import SolveStatistics


def solve(
    function: nn.Module,
    state: Tensor,
    config: SolverConfig,
    *,
    end_time: float,
    statistics: SolveStatistics,
) -> Tensor:
    """Integrate dx/dt = f(t, x) from t = 0 to `end_time`.

    Gradients reach `state` and the parameters of `function`, by `config.gradient`. A state that is
    not finite ends an adaptive solve; on a fixed grid nothing looks at it: it shows in the loss.

    `explicit_adams` takes two steps of `rk4`, then climbs to order 11, as torchdiffeq's does, and
    little is stable at such orders: on dx/dt = −1.5 x over T = 1 it is off by 1e-3 with 4 steps, by
    8e2 with 64.

    Args:
        function: f(t, x) → dx/dt; t a scalar tensor of x's dtype on its device, x and dx/dt of
            `state`'s shape. It must not change x in place: that is the solver's own state.
        state: x(0), floating point, any shape.
        config: method, steps or tolerances, gradient, and the budget of function evaluations.
        end_time: T > 0.
        statistics: incremented by what the solve costs, and later by what its backward pass costs.

    Returns:
        x(T), of `state`'s shape and dtype.

    Raises:
        SolveFailed: more than `config.max_evaluations` function evaluations, or, with an adaptive
            method, a step size that underflows or a value that is not finite. With the adjoint the
            backward pass raises it too.
    """
    return reference.solve(function, state, config, end_time=end_time, statistics=statistics)
