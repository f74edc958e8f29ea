"""Shared fixture of the solver tests."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import FixedGridMethod


@pytest.fixture(scope="session")
def make_solver() -> Callable[..., SolverConfig]:
    """Return `make(method, steps=…, tolerance=…, **fields)`, which builds a solver by method."""

    def make(
        method: str, *, steps: int = 4, tolerance: float = 1e-6, **fields: Any
    ) -> SolverConfig:
        if method in get_args(FixedGridMethod):
            return FixedGridSolver(method=method, steps=steps, **fields)
        return AdaptiveSolver(method=method, rtol=tolerance, atol=tolerance, **fields)

    return make
