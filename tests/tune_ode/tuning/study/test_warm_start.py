"""A search that starts from an earlier run tries its best points and knows its results."""

import json

import pytest
from optuna.trial import TrialState

from search_spaces import Fixed, Float, Int, Space
from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.records import MANIFEST, Outcome, dumps
from tune_ode.tuning.study.objective import OBJECTIVES
from tune_ode.tuning.study.optuna_study import TRANSFERRED
from tune_ode.tuning.study.storage import study_hash
from tune_ode.tuning.study.warm_start import (
    BEST_POINTS,
    best_points,
    is_comparable,
    prior_results,
)


@pytest.fixture
def earlier(make_search, drive):
    """Return a finished search of 20 trials, some of them stopped."""
    search = make_search("earlier", trials=20, seed=1)
    drive(search)
    search.close()
    search.folder.close()
    return search


def by_value(search):
    outcomes = [search.folder.result(setup.trial_id) for setup in search.folder.specs()]
    return sorted(outcomes, key=lambda outcome: -outcome.values[0])


def params(search, outcome):
    return next(s.params for s in search.folder.specs() if s.trial_id == outcome.trial_id)


def test_its_best_points_come_first_and_once(earlier, make_search, drive, space):
    points = best_points(earlier.folder.path, space)
    best = [params(earlier, outcome) for outcome in by_value(earlier)[:BEST_POINTS]]
    assert points == best
    killed = make_search("later", start_points=points, trials=9)
    drive(killed, events=7)
    killed.folder.close()
    search = make_search("later", start_points=points, trials=9)
    drive(search)
    search.close()
    tried = [setup.params for setup in search.folder.specs()]
    assert tried[:BEST_POINTS] == best
    assert tried.index(space.point(TrialConfig())) <= BEST_POINTS, "then the default configuration"
    assert len({str(point) for point in tried}) == 9


def test_points_outside_the_space_are_passed_over(earlier):
    narrow = Space(
        {
            "optimizer.learning_rate": Float(0.03, 0.4, log=True),
            "training.epochs": Int(2, 10),
            "solver.gradient": Fixed("backprop"),
        }
    )
    points = best_points(earlier.folder.path, narrow)
    assert points
    tried = [setup.params for setup in earlier.folder.specs()]
    for point in points:
        assert 0.03 <= point["optimizer.learning_rate"] <= 0.4
        assert {**point, "solver.gradient": "backprop"} in tried
    nowhere = Space({"optimizer.learning_rate": Float(5.0, 6.0)})
    with pytest.raises(UsageError, match="none of its measured trials lies in the space"):
        best_points(earlier.folder.path, nowhere)


def test_a_folder_that_is_no_run_is_refused(tmp_path, space):
    with pytest.raises(UsageError, match="is no run folder"):
        best_points(tmp_path, space)


def test_its_results_teach_the_sampler_and_are_no_trials_of_this_run(
    earlier, make_search, drive, space
):
    points = best_points(earlier.folder.path, space)
    search = make_search("later", trials=6, sampler="tpe", start_points=points)
    objective = OBJECTIVES["anytime"]

    def results():
        return prior_results(earlier.folder.path, space, objective, 6.0)

    search.study.warm_start(results())
    drive(search)
    search.close()
    search.folder.close()
    # a resume adds nothing again
    search = make_search("later", trials=6, sampler="tpe", start_points=points)
    search.study.warm_start(results())
    assert not search.has_work()
    tried = [setup.params for setup in search.folder.specs()]
    assert tried[:BEST_POINTS] == points, "measured again, though their results are known"

    trials = search.study.study.get_trials()
    transferred = [trial for trial in trials if TRANSFERRED in trial.user_attrs]
    assert len(trials) - len(transferred) == len(search.folder.specs()) == 6
    told = {trial.user_attrs[TRANSFERRED]: trial for trial in transferred}
    assert len(told) == 20
    for outcome in by_value(earlier):
        trial = told[f"earlier:{outcome.trial_id}"]
        assert (trial.state, trial.params) == (TrialState.COMPLETE, params(earlier, outcome))
        assert trial.values == pytest.approx(outcome.values)


def test_where_stopped_trials_do_not_compare_only_finished_ones_are_transferred(earlier, space):
    results = list(prior_results(earlier.folder.path, space, OBJECTIVES["accuracy"], 6.0))
    completed = [o for o in by_value(earlier) if o.outcome is Outcome.COMPLETED]
    assert {result.source for result in results} == {f"earlier:{o.trial_id}" for o in completed}


def test_only_a_run_that_asks_the_same_is_learned_from(earlier, space):
    path = earlier.folder.path
    base = TrialConfig().to_dict()
    assert is_comparable(path, study_hash(space.to_dict(), base, "anytime"))
    assert not is_comparable(path, study_hash(space.to_dict(), base, "accuracy"))
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["base"]["data"]["dataset"] = "mnist"
    (path / MANIFEST).write_text(dumps(manifest))
    assert not is_comparable(path, study_hash(space.to_dict(), base, "anytime"))


def test_a_run_in_an_object_store_teaches_the_same(earlier, object_store, space):
    store = object_store()
    for file in earlier.folder.path.rglob("*"):
        if file.is_file():
            store.objects[f"{store.path.key}/{file.relative_to(earlier.folder.path)}"] = (
                file.read_bytes()
            )
    assert best_points(store.path, space) == best_points(earlier.folder.path, space)
    objective = OBJECTIVES["anytime"]
    here = list(prior_results(earlier.folder.path, space, objective, 6.0))
    there = list(prior_results(store.path, space, objective, 6.0))
    assert [result.values for result in there] == [result.values for result in here]
