"""Samplers by name and of one's own: checked before a start, and never repeating a proposal."""

import textwrap
import warnings

import pytest
from optuna.samplers import QMCSampler, TPESampler

from tune_ode.errors import UsageError
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.samplers import SAMPLERS, sampler_factory

OWN = """
    from optuna.samplers import QMCSampler

    def quasi_random(seed):
        return QMCSampler(seed=seed, warn_independent_sampling=False)

    def none(seed):
        return 3

    def broken(seed):
        raise ValueError("it does not work\\nat all")
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "samplers_of_mine.py").write_text(textwrap.dedent(OWN))
    monkeypatch.chdir(tmp_path)
    return "samplers_of_mine"


def test_tpe_is_set_for_conditional_spaces_and_parallel_trials():
    with warnings.catch_warnings(action="ignore"):
        sampler = SAMPLERS["tpe"](0)
    assert isinstance(sampler, TPESampler)
    assert (sampler._multivariate, sampler._group, sampler._constant_liar) == (True, True, True)
    assert sampler._n_startup_trials == 5


def test_a_sampler_of_ones_own_is_found_in_the_current_folder(own_module):
    with warnings.catch_warnings(action="ignore"):  # Optuna calls it experimental
        made = sampler_factory(f"{own_module}:quasi_random")(0)
    assert isinstance(made, QMCSampler)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tpo", "did you mean 'tpe'. valid: tpe, tpe-cost, random, or package.module:factory"),
        ("no_such_module:sampler", "No module named 'no_such_module'; it must be a function"),
        ("samplers_of_mine:missing", "has no attribute 'missing'; it must be a function"),
        ("samplers_of_mine:broken", "ValueError: it does not work; it must be"),
        ("samplers_of_mine:none", "must return an optuna.samplers.BaseSampler, found a int"),
        ("samplers_of_mine:", "it must be a function"),
        (":factory", "it must be a function"),
    ],
)
def test_what_is_no_sampler_is_refused_in_one_line(own_module, name, said):
    with pytest.raises(UsageError, match=said) as refused:
        sampler_factory(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sampler", ["tpe", "random", "samplers_of_mine:quasi_random"])
def test_a_restart_after_each_proposal_repeats_none(tmp_path, space, own_module, sampler):
    points = set()
    for number in range(12):
        proposals = StudyAdapter(space, journal=tmp_path / "study.log", sampler=sampler, seed=3)
        trial, params = proposals.ask()
        proposals.attach(trial, f"{number:04d}")
        points.add(str(params))
    assert len(points) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_do_not_depend_on_restarts(tmp_path, space, sampler):
    def points(restarts):
        journal = tmp_path / f"{restarts}.log"
        proposals = StudyAdapter(space, journal=journal, sampler=sampler, seed=3)
        for number in range(8):
            if restarts:
                proposals = StudyAdapter(space, journal=journal, sampler=sampler, seed=3)
            trial, params = proposals.ask()
            proposals.attach(trial, f"{number:04d}")
            yield params

    assert list(points(True)) == list(points(False))
