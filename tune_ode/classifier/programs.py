"""Compiled ODE blocks, shared by all trials with equal shapes in a process.

The functions take the vector field as an argument, so all models with equal shapes share a compiled
program. torch also caches programs on disk, for other processes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch._dynamo.config
import torch._functorch.config
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._dynamo.utils import counters
from torch._inductor.exc import InductorError

from tune_ode.classifier.vector_field import VectorField
from tune_ode.config.execution import ExecutionMode
from tune_ode.config.solver import FixedGridMethod
from tune_ode.data.paths import cache_folder
from tune_ode.errors import first_line
from tune_ode.solvers.fixed_grid import grid_solution

_MAX_SHAPES = 10_000
"""More than a process trains."""


def _evaluate(function: VectorField, t: Tensor, x: Tensor, planes: tuple[Tensor, ...]) -> Tensor:
    derivative: Tensor = function(t, x, planes)
    return derivative


def _solve_on_grid(
    function: VectorField,
    x: Tensor,
    planes: tuple[Tensor, ...],
    method: FixedGridMethod,
    steps: int,
    t1: float,
) -> Tensor:
    return grid_solution(lambda t, state: function(t, state, planes), x, method, steps=steps, t1=t1)


class Program:
    """A function that is compiled at its first call, or not at all if that fails.

    Args:
        function: function to compile, with its backward pass.
        mode: mode of `torch.compile`.
    """

    def __init__(self, function: Callable[..., Tensor], mode: str | None = None) -> None:
        self._function = function
        # By default torch stops compiling at the ninth shape: the speed of a trial would depend
        # on how many others its process has trained.
        torch._dynamo.config.recompile_limit = _MAX_SHAPES
        torch._dynamo.config.accumulated_recompile_limit = _MAX_SHAPES
        # By default the first backward pass compiles its part, where an error ends the training.
        torch._functorch.config.force_non_lazy_backward_lowering = True
        # shapes are fixed within a trial, and a program for each is faster than one for all
        self._compiled = torch.compile(function, dynamic=False, mode=mode)
        self._graphs = mode == "reduce-overhead"

    @property
    def mode(self) -> ExecutionMode:
        """Return how the program runs, which may be less than what was asked for."""
        if self._compiled is self._function:
            return "eager"
        skipped = counters["inductor"]["cudagraph_skips"]  # of all programs of the process
        return "cuda_graph" if self._graphs and not skipped else "compiled"

    def __call__(self, *arguments: Any) -> Tensor:
        """Call the program; the first call with new shapes compiles, which takes seconds."""
        if self._compiled is not self._function:
            try:
                return self._compiled(*arguments)
            except (TorchDynamoException, InductorError) as error:
                self._compiled = self._function
                warnings.warn(
                    "the ODE function cannot be compiled here and runs uncompiled "
                    f"({first_line(error)}); disable execution.compile to avoid this attempt",
                    stacklevel=2,
                )
        return self._function(*arguments)


@cache
def evaluate() -> Program:
    """Return the program of one evaluation: (vector field, t (), x, planes) → dx/dt."""
    _set_cache_dir()
    return Program(_evaluate)


@cache
def solve_on_grid(device_type: str) -> Program:
    """Return the program of an unrolled solve, which a GPU replays as CUDA graphs.

    (vector field, x, planes, method, steps, t1) → x(t1); differentiable.
    """
    _set_cache_dir()
    return Program(_solve_on_grid, mode="reduce-overhead" if device_type == "cuda" else None)


def _set_cache_dir() -> None:
    # the default is a temporary directory
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "programs"))
