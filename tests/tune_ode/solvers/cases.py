"""Methods by backend, and vector fields, that several files of tests use."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import (
    NATIVE_ONLY,
    TORCHDIFFEQ_ONLY,
    AdaptiveMethod,
    Backend,
    FixedGridMethod,
    Gradient,
)
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.solve import Function

UNSUPPORTED = {"native": TORCHDIFFEQ_ONLY, "torchdiffeq": NATIVE_ONLY}
"""Methods that each backend lacks."""


def implemented(methods: tuple[str, ...]) -> list[tuple[Backend, str]]:
    """Return each method with each backend that supports it."""
    return [
        (backend, method)
        for backend, unsupported in UNSUPPORTED.items()
        for method in methods
        if method not in unsupported
    ]


FIXED = implemented(get_args(FixedGridMethod))
ADAPTIVE = implemented(get_args(AdaptiveMethod))
NATIVE_FIXED = [method for backend, method in FIXED if backend == "native"]
NATIVE_ADAPTIVE = [method for backend, method in ADAPTIVE if backend == "native"]
ON_ADAPTIVE = pytest.mark.parametrize(("backend", "method"), ADAPTIVE)


def with_gradients(cases: list[tuple[Backend, str]]) -> list[tuple[Backend, str, Gradient]]:
    """Return each case with each gradient that its backend supports."""
    return [
        (backend, method, gradient)
        for backend, method in cases
        for gradient in get_args(Gradient)
        if (backend, gradient) != ("torchdiffeq", "recompute")
    ]


def make_solver(
    method: str, *, steps: int = 4, tolerance: float = 1e-6, **fields: Any
) -> SolverConfig:
    """Return a solver by its method, with steps or tolerances as the method needs."""
    if method in get_args(FixedGridMethod):
        return FixedGridSolver(method=method, steps=steps, **fields)
    return AdaptiveSolver(method=method, rtol=tolerance, atol=tolerance, **fields)


class Field(nn.Module):
    """dx/dt as a plain function with the parameter `rate`; counts its calls."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor], rate: float = 1.0):
        super().__init__()
        self.function = function
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))
        self.calls = 0

    def forward(self, t: float | Tensor, x: Tensor) -> Tensor:
        self.calls += 1
        return self.function(torch.as_tensor(t, dtype=x.dtype), x, self.rate)


def decay(rate: float = 1.0) -> Field:
    return Field(lambda t, x, rate: -rate * x, rate)


class Network(nn.Module):
    """A small nonlinear vector field of several units, in double precision."""

    def __init__(self, steepness: float = 3.0):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.inner = nn.Parameter(torch.randn(5, 5, generator=generator, dtype=torch.float64))
        self.outer = nn.Parameter(torch.randn(5, 5, generator=generator, dtype=torch.float64))
        self.steepness = steepness

    def forward(self, t: float | Tensor, x: Tensor) -> Tensor:
        # detached: torchdiffeq's adjoint also controls the error of dL/dt
        wave = torch.as_tensor(self.steepness * t, dtype=x.dtype).detach().cos()
        return torch.tanh(x @ self.inner + wave) @ self.outer


def states() -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(7, 5, generator=generator, dtype=torch.float64).requires_grad_()


class Synchronizations(TorchDispatchMode):
    """Count the operations that read a tensor's value and so synchronize with a GPU."""

    READS = frozenset({"aten::_local_scalar_dense", "aten::item", "aten::is_nonzero"})

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.name().split(".")[0]
        self.count += name in self.READS
        return function(*arguments, **(keywords or {}))


def solution(
    vector_field: Function, state: Tensor, config: SolverConfig, t1: float = 1.0, **options: Any
) -> Tensor:
    """Return x(t1); for tests that need no statistics."""
    return solve(vector_field, state, config, t1=t1, statistics=SolveStatistics(), **options)
