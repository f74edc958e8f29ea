"""The one door: x(0) → x(T) of dx/dt = f(t, x)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from tune_ode.config import SolverConfig
from tune_ode.config.solver import Backend
from tune_ode.solvers.gradients import GRADIENTS
from tune_ode.solvers.problem import Problem, StepSizeCache
from tune_ode.solvers.statistics import CountedFunction, SolveStatistics

Function = Callable[[float | Tensor, Tensor], Tensor]


def solve(
    function: Function,
    state: Tensor,
    config: SolverConfig,
    *,
    end_time: float,
    statistics: SolveStatistics,
    parameters: Sequence[Tensor] | None = None,
    carried: StepSizeCache | None = None,
) -> Tensor:
    """Integrate dx/dt = f(t, x) from t = 0 to `end_time`.

    Gradients reach `state` and `parameters`, by `config.gradient`. A state that is not finite ends
    an adaptive solve; on a fixed grid nothing looks at it: it shows in the loss.

    `explicit_adams` takes two steps of `rk4`, then climbs to order 11, as torchdiffeq's does, and
    little is stable at such orders: on dx/dt = −1.5 x over T = 1 it is off by 1e-3 with 4 steps, by
    8e2 with 64.

    Args:
        function: f(t, x) → dx/dt; t a float or a scalar tensor, x and dx/dt of `state`'s shape. It
            must not change x in place: that is the solver's own state.
        state: x(0), floating point, any shape.
        config: method, steps or tolerances, gradient, and the bounds of the solve.
        end_time: T > 0.
        statistics: incremented by what the solve costs, and later by what its backward pass costs.
        parameters: tensors that the function depends on beside t and x; None: those of the module
            that it is.
        carried: what adaptive solves of problems much like this one hand on, from each to the next;
            None: each estimates its first step by itself.

    Returns:
        x(T), of `state`'s shape and dtype.

    Raises:
        SolveFailed: more than `config.max_evaluations` function evaluations, or, with an adaptive
            method, more than `max_steps` steps, a step under `min_step` or one that underflows, or
            a value that is not finite. With the adjoint the backward pass raises it too.
    """
    if parameters is None:
        assert isinstance(function, torch.nn.Module), "a plain function has no parameters to find"
        parameters = tuple(function.parameters())
    backend = BACKENDS[config.chosen_backend]
    counted = CountedFunction(function, config, statistics)
    problem = Problem(counted, tuple(parameters), config, end_time, statistics, carried)
    return backend(problem, state)


def _native(problem: Problem, state: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return problem.solve(state)
    return GRADIENTS[problem.config.gradient](problem, state)


def _torchdiffeq(problem: Problem, state: Tensor) -> Tensor:
    # imported here: it brings half of scipy, most of a second in every trial's process
    from tune_ode.solvers.reference import solve

    return solve(problem, state)


BACKENDS: Mapping[Backend, Callable[[Problem, Tensor], Tensor]] = MappingProxyType(
    {"native": _native, "torchdiffeq": _torchdiffeq}
)
