"""Gradients of a native solve: four methods with one interface.

`backprop` leaves it to autograd. `recompute` saves the state at every step and repeats each step
in the backward pass: the same gradient, with the memory of one step plus one state per step.
`adjoint` saves the final state only and solves, backward from a(T) = ∂L/∂x(T),

    da/dt = −aᵀ ∂f/∂x,    dL/dθ = ∫₀ᵀ aᵀ ∂f/∂θ dt

together with x (Chen et al. 2018, arXiv:1806.07366): constant memory, but not the gradient of the
discrete solve. `adjoint_seminorm` controls the steps of an adaptive backward solve by x and a only,
since neither depends on the integral for θ (Kidger et al. 2021, arXiv:2009.09457). Both are linear
in a(T): an adaptive backward solve integrates a(T) divided by its root mean square, so that the
tolerance does not depend on the scale of the loss, and multiplies the gradients by it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tune_ode.config import AdaptiveSolver
from tune_ode.config.solver import Gradient, backward_solver
from tune_ode.solvers.control import adjoint_scale
from tune_ode.solvers.integrate import integrate
from tune_ode.solvers.problem import Problem
from tune_ode.solvers.runge_kutta import State, TracedStep, runge_kutta_step
from tune_ode.solvers.tableaux import TABLEAUX


def _backprop(problem: Problem, x: Tensor) -> Tensor:
    return problem.solve(x)


def _recompute(problem: Problem, x: Tensor) -> Tensor:
    solution: Tensor = _Recompute.apply(problem, x, *problem.parameters)
    return solution


def _adjoint(problem: Problem, x: Tensor) -> Tensor:
    solution: Tensor = _Adjoint.apply(problem, x, *problem.parameters)
    return solution


GRADIENTS: Mapping[Gradient, Callable[[Problem, Tensor], Tensor]] = MappingProxyType(
    {
        "backprop": _backprop,
        "recompute": _recompute,
        "adjoint": _adjoint,
        "adjoint_seminorm": _adjoint,
    }
)
"""Name → function from the problem and x(0) to x(T), with that gradient."""


class _Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, x: Tensor, *parameters: Tensor) -> Tensor:
        trace: list[TracedStep] = []
        solution = problem.solve(x, trace.append)
        ctx.problem = problem
        ctx.autocast = _autocast(x.device.type)
        ctx.spans = [(step.t0, step.t1, step.dt, step.k1 is not None) for step in trace]
        saved = [tensor for step in trace for tensor in (*step.state, *(step.k1 or ()))]
        ctx.save_for_backward(*saved, *parameters)
        return solution

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        problem: Problem = ctx.problem
        problem.function.begin_backward()
        saved = list(ctx.saved_tensors)[: len(ctx.saved_tensors) - len(problem.parameters)]
        parameters = _differentiated(ctx, problem)
        sums: list[Tensor | None] = [None] * len(parameters)
        tableau = TABLEAUX[problem.config.method]
        k1_gradient = None
        for t0, t1, dt, k1_saved in reversed(ctx.spans):
            with torch.enable_grad(), ctx.autocast():
                k1 = saved.pop().detach().requires_grad_() if k1_saved else None
                x = saved.pop().detach().requires_grad_()
                step = runge_kutta_step(
                    problem.vector_field,
                    tableau,
                    t0,
                    t1,
                    dt,
                    (x,),
                    k1=None if k1 is None else (k1,),
                    want_fsal=False,
                )
            outputs, gradients = [*step.state], [gradient]
            # a constant derivative has no gradient
            if k1_gradient is not None and step.stages[-1][0].requires_grad:
                outputs += step.stages[-1]
                gradients.append(k1_gradient)
            inputs = [x] if k1 is None else [x, k1]
            found = torch.autograd.grad(
                outputs, [*inputs, *parameters], gradients, allow_unused=True
            )
            gradient = _or_zeros(found[0], x)
            k1_gradient = None if k1 is None else _or_zeros(found[1], k1)
            _accumulate(sums, found[len(inputs) :])
        return None, gradient, *_expand(ctx, sums)


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, x: Tensor, *parameters: Tensor) -> Tensor:
        solution = problem.solve(x)
        ctx.problem = problem
        ctx.autocast = _autocast(x.device.type)
        ctx.save_for_backward(solution, *parameters)
        return solution

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        problem: Problem = ctx.problem
        problem.function.begin_backward()
        solution = ctx.saved_tensors[0]
        parameters = _differentiated(ctx, problem)

        def augmented(t: float | Tensor, state: State) -> State:
            x, adjoint = state
            with torch.enable_grad(), ctx.autocast():
                x = x.detach().requires_grad_()
                (derivative,) = problem.vector_field(t, (x,))
            if not derivative.requires_grad:
                return derivative, *map(torch.zeros_like, (x, *parameters))
            found = torch.autograd.grad(derivative, [x, *parameters], -adjoint, allow_unused=True)
            products = map(_or_zeros, found, [x, *parameters])
            return derivative.detach(), *products

        seminorm = problem.config.gradient == "adjoint_seminorm"
        config = backward_solver(problem.config)
        scale = adjoint_scale(gradient) if isinstance(config, AdaptiveSolver) else None
        _, *gradients = integrate(
            augmented,
            config,
            (
                solution,
                gradient if scale is None else gradient / scale,
                *map(torch.zeros_like, parameters),
            ),
            t0=problem.t1,
            t1=0.0,
            phase="backward",
            coupled=2,
            controlled=2 if seminorm else None,
            step_sizes=problem.step_sizes,
        )
        if scale is not None:
            gradients = [found * scale for found in gradients]
        return None, gradients[0], *_expand(ctx, gradients[1:])


def _autocast(device_type: str) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Return the current autocast context, to enter it again in the backward pass."""
    enabled = torch.is_autocast_enabled(device_type)
    dtype = torch.get_autocast_dtype(device_type)
    return lambda: torch.autocast(device_type, dtype=dtype, enabled=enabled)


def _differentiated(ctx: Any, problem: Problem) -> list[Tensor]:
    """Return the parameters that need a gradient."""
    return list(itertools.compress(problem.parameters, ctx.needs_input_grad[2:]))


def _accumulate(sums: list[Tensor | None], found: Sequence[Tensor | None]) -> None:
    for index, (total, part) in enumerate(zip(sums, found, strict=True)):
        if total is None:
            sums[index] = part
        elif part is not None:
            sums[index] = total + part


def _expand(ctx: Any, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return a gradient or None for every parameter, given those of `_differentiated` ones."""
    remaining = iter(gradients)
    return [next(remaining) if needed else None for needed in ctx.needs_input_grad[2:]]


def _or_zeros(found: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if found is None else found
