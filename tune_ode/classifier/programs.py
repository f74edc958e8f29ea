"""Compiled forms of an ODE block, shared by all trials of one shape in a process.

The functions take the vector field as an argument, so what is compiled for one model serves every
other of the same shapes; torch keeps the programs on disk as well, for other processes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch._dynamo.config
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InductorError

from tune_ode.classifier.vector_field import VectorField
from tune_ode.config.solver import FixedGridMethod
from tune_ode.data.paths import cache_folder
from tune_ode.solvers.unrolled import grid_solution

_MOST_SHAPES = 10_000
"""More than any process trains."""


def _evaluate(function: VectorField, t: Tensor, x: Tensor, planes: tuple[Tensor, ...]) -> Tensor:
    derivative: Tensor = function(t, x, planes)
    return derivative


def _solve_on_grid(
    function: VectorField,
    x: Tensor,
    planes: tuple[Tensor, ...],
    method: FixedGridMethod,
    steps: int,
    end_time: float,
) -> Tensor:
    return grid_solution(
        lambda t, state: function(t, state, planes), x, method, steps=steps, end_time=end_time
    )


class Program:
    """A function compiled at its first call; where that fails, the function itself.

    Args:
        function: what to compile.
        mode: of `torch.compile`.
    """

    def __init__(self, function: Callable[..., Tensor], mode: str | None = None) -> None:
        self._function = function
        # torch's default is to run uncompiled for good from the ninth shape on: what a trial gets
        # would depend on how many others its process has trained
        torch._dynamo.config.recompile_limit = _MOST_SHAPES
        torch._dynamo.config.accumulated_recompile_limit = _MOST_SHAPES
        # shapes are fixed within a trial: a program for each is faster than one for all
        self._compiled = torch.compile(function, dynamic=False, mode=mode)

    def __call__(self, *arguments: Any) -> Tensor:
        """Call the program; its first call for new shapes compiles, which takes seconds."""
        if self._compiled is not self._function:
            try:
                return self._compiled(*arguments)
            except (TorchDynamoException, InductorError) as error:
                self._compiled = self._function
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                warnings.warn(
                    f"the ODE function cannot be compiled here, so it runs as it is ({reason}); "
                    "leave execution.compile off to be spared the attempt",
                    stacklevel=2,
                )
        return self._function(*arguments)


@cache
def evaluate() -> Program:
    """Return the program of one evaluation: (field, t (), x, planes) → dx/dt."""
    _keep_on_disk()
    return Program(_evaluate)


@cache
def solve_on_grid(device_type: str) -> Program:
    """Return the program of a whole unrolled solve, on a GPU replayed as CUDA graphs.

    (field, x, planes, method, steps, end_time) → x(T); differentiable.
    """
    _keep_on_disk()
    return Program(_solve_on_grid, mode="reduce-overhead" if device_type == "cuda" else None)


def _keep_on_disk() -> None:
    # torch's default is a folder for temporary files
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "programs"))
