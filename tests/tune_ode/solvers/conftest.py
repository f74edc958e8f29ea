"""Every solver by name, cheap to build."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import FixedGridMethod


@pytest.fixture(scope="session")
def make_solver() -> Callable[..., SolverConfig]:
    """Return `make(method, steps=…, tolerance=…, **settings)` of the family the method is in."""

    def make(
        method: str, *, steps: int = 4, tolerance: float = 1e-6, **settings: Any
    ) -> SolverConfig:
        if method in get_args(FixedGridMethod):
            return FixedGridSolver(method=method, steps=steps, **settings)
        return AdaptiveSolver(method=method, rtol=tolerance, atol=tolerance, **settings)

    return make
