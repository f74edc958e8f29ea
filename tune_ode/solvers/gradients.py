"""How gradients pass through a native solve: four ways, one interface.

`backprop` leaves it to autograd. `recompute` keeps the state at every step and takes each step
again in the backward pass: the same gradient, in the memory of one step and one state a step.
`adjoint` keeps the end alone and solves, backward from a(T) = ∂L/∂x(T),

    da/dt = −aᵀ ∂f/∂x,    dL/dθ = ∫₀ᵀ aᵀ ∂f/∂θ dt

together with x itself (Chen et al. 2018, arXiv:1806.07366): constant memory, and not the gradient
of the discrete solve. `adjoint_seminorm` controls the steps of an adaptive backward solve by x and
a alone: the integral over θ feeds back into nothing (Kidger et al. 2021, arXiv:2009.09457).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tune_ode.config.solver import Gradient, backward_solver
from tune_ode.solvers.integrate import integrate
from tune_ode.solvers.problem import Problem
from tune_ode.solvers.runge_kutta import State, runge_kutta_step
from tune_ode.solvers.tableaux import TABLEAUX
from tune_ode.solvers.trace import TracedStep


def _backprop(problem: Problem, x: Tensor) -> Tensor:
    return problem.solve(x)


def _recompute(problem: Problem, x: Tensor) -> Tensor:
    end: Tensor = _Recompute.apply(problem, x, *problem.parameters)
    return end


def _adjoint(problem: Problem, x: Tensor) -> Tensor:
    end: Tensor = _Adjoint.apply(problem, x, *problem.parameters)
    return end


GRADIENTS: Mapping[Gradient, Callable[[Problem, Tensor], Tensor]] = MappingProxyType(
    {
        "backprop": _backprop,
        "recompute": _recompute,
        "adjoint": _adjoint,
        "adjoint_seminorm": _adjoint,
    }
)
"""Name → x(0) to x(T), with that gradient."""


class _Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, x: Tensor, *parameters: Tensor) -> Tensor:
        trace: list[TracedStep] = []
        end = problem.solve(x, trace.append)
        ctx.problem = problem
        ctx.autocast = _autocast(x.device.type)
        ctx.spans = [(step.start, step.end, step.length, step.first is not None) for step in trace]
        kept = [tensor for step in trace for tensor in (*step.state, *(step.first or ()))]
        ctx.save_for_backward(*kept, *parameters)
        return end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        problem: Problem = ctx.problem
        problem.function.begin_backward()
        kept = list(ctx.saved_tensors)[: len(ctx.saved_tensors) - len(problem.parameters)]
        wanted, sums = _wanted(ctx, problem)
        tableau = TABLEAUX[problem.config.method]
        first_gradient = None
        for start, end, length, carried in reversed(ctx.spans):
            with torch.enable_grad(), ctx.autocast():
                first = kept.pop().detach().requires_grad_() if carried else None
                x = kept.pop().detach().requires_grad_()
                step = runge_kutta_step(
                    problem.vector_field,
                    tableau,
                    start,
                    end,
                    length,
                    (x,),
                    first=None if first is None else (first,),
                    hand_on=False,
                )
            outputs, gradients = [*step.state], [gradient]
            # a derivative that depends on nothing hands nothing back
            if first_gradient is not None and step.stages[-1][0].requires_grad:
                outputs += step.stages[-1]
                gradients.append(first_gradient)
            inputs = [x] if first is None else [x, first]
            found = torch.autograd.grad(outputs, [*inputs, *wanted], gradients, allow_unused=True)
            gradient = _or_zeros(found[0], x)
            first_gradient = None if first is None else _or_zeros(found[1], first)
            _accumulate(sums, found[len(inputs) :])
        return None, gradient, *_placed(ctx, sums)


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, x: Tensor, *parameters: Tensor) -> Tensor:
        end = problem.solve(x)
        ctx.problem = problem
        ctx.autocast = _autocast(x.device.type)
        ctx.save_for_backward(end, *parameters)
        return end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        problem: Problem = ctx.problem
        problem.function.begin_backward()
        end = ctx.saved_tensors[0]
        wanted, _ = _wanted(ctx, problem)

        def augmented(t: float | Tensor, state: State) -> State:
            x, adjoint = state
            with torch.enable_grad(), ctx.autocast():
                x = x.detach().requires_grad_()
                (derivative,) = problem.vector_field(t, (x,))
            if not derivative.requires_grad:
                return derivative, *map(torch.zeros_like, (x, *wanted))
            found = torch.autograd.grad(derivative, [x, *wanted], -adjoint, allow_unused=True)
            products = map(_or_zeros, found, [x, *wanted])
            return derivative.detach(), *products

        seminorm = problem.config.gradient == "adjoint_seminorm"
        _, adjoint, *sums = integrate(
            augmented,
            backward_solver(problem.config),
            (end, gradient, *map(torch.zeros_like, wanted)),
            start=problem.end_time,
            end=0.0,
            where="backward",
            coupled=2,
            measured=2 if seminorm else None,
            carried=None if problem.carried is None else problem.carried.backward,
        )
        return None, adjoint, *_placed(ctx, sums)


def _autocast(device_type: str) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Return the mixed precision of this moment, to enter again in the backward pass."""
    enabled = torch.is_autocast_enabled(device_type)
    dtype = torch.get_autocast_dtype(device_type)
    return lambda: torch.autocast(device_type, dtype=dtype, enabled=enabled)


def _wanted(ctx: Any, problem: Problem) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return the parameters that want a gradient, and empty sums of their gradients."""
    needs = ctx.needs_input_grad[2:]
    wanted = [p for p, need in zip(problem.parameters, needs, strict=True) if need]
    return wanted, [None] * len(wanted)


def _accumulate(sums: list[Tensor | None], found: Sequence[Tensor | None]) -> None:
    for place, (total, part) in enumerate(zip(sums, found, strict=True)):
        if total is None:
            sums[place] = part
        elif part is not None:
            sums[place] = total + part


def _placed(ctx: Any, sums: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return a gradient, or None, for each of the parameters."""
    left = iter(sums)
    return [next(left) if needs else None for needs in ctx.needs_input_grad[2:]]


def _or_zeros(found: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if found is None else found
