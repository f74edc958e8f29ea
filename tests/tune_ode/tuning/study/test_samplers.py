"""Built-in and custom samplers: validated before a search, and no proposal is repeated."""

import textwrap
import warnings

import pytest
from optuna.samplers import QMCSampler, TPESampler

from search_spaces import Int, Space
from tune_ode.errors import UsageError
from tune_ode.tuning.study.coverage import grid_problem
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.samplers import SAMPLERS, sampler_factory

CUSTOM = """
    from optuna.samplers import QMCSampler

    def quasi_random(seed):
        return QMCSampler(seed=seed, warn_independent_sampling=False)

    def none(seed):
        return 3

    def broken(seed):
        raise ValueError("it does not work\\nat all")
"""


@pytest.fixture
def custom_module(tmp_path, monkeypatch):
    (tmp_path / "custom_samplers.py").write_text(textwrap.dedent(CUSTOM))
    monkeypatch.chdir(tmp_path)
    return "custom_samplers"


def test_tpe_is_configured_for_conditional_spaces_and_parallel_trials():
    with warnings.catch_warnings(action="ignore"):
        sampler = SAMPLERS["tpe"](0)
    assert isinstance(sampler, TPESampler)
    assert (sampler._multivariate, sampler._group, sampler._constant_liar) == (True, True, True)
    assert sampler._n_startup_trials == 5


def test_a_custom_sampler_is_imported_from_the_current_directory(custom_module):
    with warnings.catch_warnings(action="ignore"):  # Optuna calls it experimental
        sampler = sampler_factory(f"{custom_module}:quasi_random")(0)
    assert isinstance(sampler, QMCSampler)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tpo",
            "did you mean 'tpe'. valid: tpe, tpe-cost, random, grid, or package.module:factory",
        ),
        ("none:sampler", "^--sampler none:sampler: cannot import none: No module named 'none';"),
        ("none:sampler", "; expected package.module:NAME, importable from .* or PYTHONPATH$"),
        ("custom_samplers:missing", "^--sampler custom_samplers:missing: .*valid: .*quasi_random"),
        ("custom_samplers:broken", "ValueError: it does not work; expected a function"),
        ("custom_samplers:none", "returns an optuna.samplers.BaseSampler, found int"),
        ("custom_samplers:", "unknown name in custom_samplers ''; valid: .*quasi_random"),
        (":factory", "^--sampler :factory: .*; expected package.module:NAME"),
    ],
)
def test_invalid_samplers_are_rejected_in_one_line(custom_module, name, message):
    with pytest.raises(UsageError, match=message) as rejected:
        sampler_factory(name)
    assert "\n" not in str(rejected.value)


@pytest.mark.parametrize("sampler", ["TPESampler", "CmaEsSampler", "QMCSampler"])
def test_a_sampler_of_optuna_gets_the_seed_by_name_and_warns_of_nothing(sampler):
    with warnings.catch_warnings(action="error"):
        sampler_factory(f"optuna.samplers:{sampler}")
    with warnings.catch_warnings(action="ignore"):
        first, again = (sampler_factory(f"optuna.samplers:{sampler}")(3) for _ in range(2))
    draws = [getattr(each, "_rng", None) and each._rng.rng.random() for each in (first, again)]
    assert draws[0] == draws[1]


def test_a_grid_needs_a_finite_space_that_can_be_listed(space):
    assert grid_problem(space) == (
        "needs a finite space, and optimizer.learning_rate is continuous"
    )
    large = Space({"training.epochs": Int(1, 200), "model.width": Int(1, 100)})
    assert grid_problem(large) == "needs a space of at most 10,000 points, found 20,000"
    assert grid_problem(Space({"training.epochs": Int(1, 200)})) is None


@pytest.mark.parametrize("sampler", [*SAMPLERS, "custom_samplers:quasi_random"])
def test_a_restart_after_each_proposal_repeats_no_proposal(tmp_path, space, custom_module, sampler):
    points = set()
    for number in range(12):
        study = StudyAdapter(space, journal=tmp_path / "study.log", sampler=sampler, seed=3)
        trial, params = study.ask()
        study.attach(trial, f"{number:04d}")
        points.add(str(params))
    assert len(points) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_do_not_depend_on_restarts(tmp_path, space, sampler):
    def points(restarts):
        journal = tmp_path / f"{restarts}.log"
        study = StudyAdapter(space, journal=journal, sampler=sampler, seed=3)
        for number in range(8):
            if restarts:
                study = StudyAdapter(space, journal=journal, sampler=sampler, seed=3)
            trial, params = study.ask()
            study.attach(trial, f"{number:04d}")
            yield params

    assert list(points(True)) == list(points(False))
