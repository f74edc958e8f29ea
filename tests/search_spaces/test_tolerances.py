"""Unless it is set, the absolute tolerance is the relative one."""

import pytest

from search_spaces import configure, resolve_space
from search_spaces.recipes import recipe, recipes
from tune_ode.config import AdaptiveSolver, TrialConfig
from tune_ode.config.solver import backward_solver


def forward(**fields):
    config = AdaptiveSolver(**fields)
    return config.rtol, config.absolute_tolerance


def backward(**fields):
    config = backward_solver(AdaptiveSolver(gradient="adjoint", **fields))
    assert isinstance(config, AdaptiveSolver)
    return config.rtol, config.absolute_tolerance


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (1e-3, 1e-3)),
        ({"rtol": 1e-5}, (1e-5, 1e-5)),
        ({"atol": 1e-6}, (1e-3, 1e-6)),
        ({"rtol": 1e-2, "atol": 1e-6}, (1e-2, 1e-6)),
    ],
)
def test_the_absolute_tolerance_follows_the_relative_one_unless_set(fields, expected):
    assert forward(**fields) == expected
    assert backward(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"adjoint_rtol": 1e-4}, (1e-4, 1e-4)),
        ({"adjoint_atol": 1e-4}, (1e-3, 1e-4)),
        ({"rtol": 1e-5, "adjoint_rtol": 1e-2}, (1e-2, 1e-2)),
        # as in torchdiffeq, where each of the two falls back to the forward one
        ({"rtol": 1e-5, "atol": 1e-6, "adjoint_rtol": 1e-2}, (1e-2, 1e-6)),
        ({"rtol": 1e-5, "adjoint_rtol": 1e-2, "adjoint_atol": 1e-3}, (1e-2, 1e-3)),
    ],
)
def test_the_backward_tolerances(fields, expected):
    assert backward(**fields) == expected


def test_a_fixed_grid_has_an_adaptive_backward_solve_with_one_tolerance():
    config = TrialConfig().with_values(
        {"solver.gradient": "adjoint", "solver.adjoint_method": "bosh3",
         "solver.adjoint_rtol": 1e-2}
    )  # fmt: skip
    solver = backward_solver(config.solver)
    assert isinstance(solver, AdaptiveSolver)
    assert (solver.rtol, solver.absolute_tolerance) == (1e-2, 1e-2)


@pytest.mark.parametrize("space", ["quick", "solvers", "full"])
@pytest.mark.parametrize("base", [TrialConfig(), recipe("classic")])
def test_every_space_searches_one_tolerance(random_trial, space, base):
    seen = set()
    for seed in range(60):
        solver = configure(base, resolve_space(space).sample(random_trial(seed))).solver
        for config in (solver, backward_solver(solver)):
            if isinstance(config, AdaptiveSolver):
                assert config.absolute_tolerance == config.rtol
                seen.add(config.rtol)
    assert len(seen) > 5


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_has_one_tolerance(name):
    assert getattr(recipe(name).solver, "atol", None) is None
