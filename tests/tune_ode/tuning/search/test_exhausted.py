"""A search repeats no point, and ends in order if nothing is left to try or its sampler ends it."""

import warnings

import optuna
import pytest
from optuna.samplers import BruteForceSampler, GridSampler, QMCSampler, RandomSampler

from search_spaces import Choice, Float, Int, Space
from tune_ode.records import Outcome
from tune_ode.tuning.study.samplers import SAMPLERS
from tune_ode.worker.task import TrialEnd

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

TWO = Space({"model.width": Choice(8, 16)})
SIX = Space(
    {
        "solver.method": Choice(
            {"euler": Space({"solver.steps": Int(1, 4)}), "rk4": None, "dopri5": None}
        )
    }
)


def grid(seed):
    return GridSampler({"model.width": [8, 16]}, seed=seed)


def brute_force(seed):
    return BruteForceSampler(seed=seed)


def quasi_random(seed):
    return QMCSampler(seed=seed, warn_independent_sampling=False)


class Stubborn(RandomSampler):
    """Proposes the first option or the lowest value only."""

    def sample_independent(self, study, trial, name, distribution):
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return distribution.choices[0]
        return distribution.low


class StopsAfterResults(RandomSampler):
    """Ends the search when two trials have ended."""

    def after_trial(self, study, trial, state, values):
        if len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) >= 1:
            study.stop()


class StopsAtProposal(RandomSampler):
    """Ends the search with its fourth proposal."""

    def before_trial(self, study, trial):
        if trial.number >= 3:
            study.stop()


class RaisesAtProposal(RandomSampler):
    """Fails at its fourth proposal."""

    def before_trial(self, study, trial):
        if trial.number >= 3:
            raise KeyError("no such point")


class RaisesAfterResult(RandomSampler):
    """Fails when a trial has ended."""

    def after_trial(self, study, trial, state, values):
        raise ValueError("not a point\nof the grid")


@pytest.fixture
def make(make_search):
    return lambda sampler, space=TWO, **options: make_search(
        sampler=sampler if sampler in SAMPLERS else f"{__name__}:{sampler}", space=space, **options
    )


def points(search):
    return [tuple(sorted(spec.params.items())) for spec in search.folder.specs()]


@pytest.mark.parametrize(("space", "workers"), [(TWO, 5), (SIX, 2)], ids=["2 points", "6 points"])
@pytest.mark.parametrize("sampler", [*SAMPLERS, "brute_force", "quasi_random", "Stubborn"])
def test_each_point_is_tried_once_and_then_the_search_ends(make, drive, sampler, space, workers):
    count = 2 if space is TWO else 6
    search = make(sampler, space, trials=20)
    drive(search, workers=workers)
    search.close()
    assert len(points(search)) == len(set(points(search))) == count
    assert not search.failed
    assert {result.outcome for result in search.results.values()} <= {"completed", "stopped"}
    manifest = search.folder.manifest
    assert manifest.state == "finished"
    assert manifest.stop_reason == f"the space is exhausted after {count} points"

    search = make(sampler, space, trials=20)
    assert not search.has_work(), "a resume finds nothing to do either"
    assert search.end_reason() == manifest.stop_reason


@pytest.mark.parametrize("workers", [1, 5])
def test_optunas_grid_sampler_tries_its_grid_only(make, drive, workers):
    space = TWO | Space({"training.epochs": Int(2, 4)})
    search = make("grid_of_three", space, trials=20)
    drive(search, workers=workers)
    search.close()
    assert sorted(dict(point)["model.width"] for point in points(search)) == [8, 8, 16]
    assert (search.stop_reason, search.failed) == ("the sampler ended the search", False)
    assert search.folder.manifest.state == "finished"


def grid_of_three(seed):
    class Three(GridSampler):
        """Two epochs with each width, and four epochs with one."""

    sampler = Three({"model.width": [8, 16], "training.epochs": [2, 4]}, seed=0)
    sampler._all_grids = [(8, 2), (8, 4), (16, 2)]
    sampler._n_min_trials = 3
    return sampler


@pytest.mark.parametrize("sampler", ["StopsAfterResults", "StopsAtProposal"])
def test_a_sampler_that_stops_the_study_ends_the_search_and_running_trials_finish(
    make, drive, space, sampler
):
    search = make(sampler, space, trials=50)
    drive(search, workers=3)
    search.close()
    assert (search.stop_reason, search.failed) == ("the sampler ended the search", False)
    assert 3 <= len(search.results) <= 6
    assert Outcome.INTERRUPTED not in {result.outcome for result in search.results.values()}
    assert search.folder.manifest.state == "finished"
    assert search.folder.manifest.stop_reason == "the sampler ended the search"
    assert not make(sampler, space, trials=50).has_work()


@pytest.mark.parametrize("events", range(1, 16, 5))
def test_a_driver_killed_around_the_stop_finishes_what_ran(make, drive, space, events):
    drive(make("StopsAtProposal", space, trials=50), workers=3, events=events)
    search = make("StopsAtProposal", space, trials=50)
    drive(search, workers=3)
    search.close()
    assert search.stop_reason == "the sampler ended the search"
    assert Outcome.INTERRUPTED not in {result.outcome for result in search.results.values()}
    assert len(search.results) == len(set(points(search))) == len(search.folder.specs()) <= 6


@pytest.mark.parametrize("events", range(1, 24, 7))
@pytest.mark.parametrize("sampler", ["random", "brute_force"])
def test_a_driver_killed_at_any_event_repeats_and_omits_no_point(make, drive, sampler, events):
    drive(make(sampler, SIX, trials=None), workers=2, events=events)
    search = make(sampler, SIX, trials=None)
    drive(search)
    search.close()
    assert len(points(search)) == len(set(points(search))) == 6
    assert search.stop_reason == "the space is exhausted after 6 points"


@pytest.mark.parametrize(
    ("sampler", "error"),
    [
        ("RaisesAtProposal", "the sampler raised KeyError: 'no such point' (test_exhausted.py:"),
        ("RaisesAfterResult", "the sampler raised ValueError: not a point (test_exhausted.py:"),
    ],
)
def test_an_exception_of_a_sampler_ends_the_search_and_everything_is_kept(
    make, drive, space, sampler, error
):
    search = make(sampler, space, trials=50)
    drive(search, workers=2)
    search.close()
    assert search.failed
    assert search.stop_reason.startswith(error)
    assert "\n" not in search.stop_reason
    manifest = search.folder.manifest
    assert (manifest.state, manifest.stop_reason) == ("interrupted", search.stop_reason)
    results = [search.folder.result(spec.trial_id) for spec in search.folder.specs()]
    assert Outcome.COMPLETED in {result.outcome for result in results}
    assert None not in results


def test_points_that_fail_or_are_invalid_count_as_tried(make, drive, monkeypatch, curve):
    def run_trial(task):
        if task.config["solver"]["method"] == "rk4":
            yield TrialEnd(outcome=Outcome.DIVERGED, reason="not finite")
        yield from curve(task)

    search = make("tpe", SIX, trials=20)
    drive(search, run_trial=run_trial)
    search.close()
    assert len(search.results) == 6
    assert search.stop_reason == "the space is exhausted after 6 points"


def test_no_reason_is_given_if_the_number_of_trials_is_that_of_the_points(make, drive):
    search = make("random", SIX, trials=6)
    drive(search)
    search.close()
    assert len(search.results) == 6
    assert search.folder.manifest.stop_reason is None


def test_finite_branches_of_an_infinite_space_are_not_repeated(make, drive):
    rate = Space({"optimizer.learning_rate": Float(1e-3, 1.0, log=True)})
    space = Space({"solver.method": Choice({"euler": None, "rk4": None, "dopri5": rate})})
    search = make("random", space, trials=15)
    drive(search)
    search.close()
    assert len(points(search)) == len(set(points(search))) == 15
