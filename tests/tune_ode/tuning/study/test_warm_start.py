"""A search that starts from an earlier run tries its best points and knows its results."""

import json
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search_spaces import Fixed, Float, Int, Space, to_dict
from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.records import MANIFEST, Outcome, dumps
from tune_ode.tuning.study.objective import OBJECTIVES
from tune_ode.tuning.study.optuna_study import PRIOR_SOURCE
from tune_ode.tuning.study.storage import study_hash
from tune_ode.tuning.study.warm_start import BEST_POINTS, best_points, is_comparable, prior_results


@pytest.fixture
def earlier(make_search, drive):
    """Return a finished search of 20 trials, some of them stopped."""
    search = make_search("earlier", trials=20, seed=1)
    drive(search)
    search.close()
    search.folder.close()
    return search


def by_value(search):
    results = [search.folder.result(spec.trial_id) for spec in search.folder.specs()]
    return sorted(results, key=lambda result: -result.values[0])


def params(search, result):
    return next(s.params for s in search.folder.specs() if s.trial_id == result.trial_id)


def test_the_best_points_are_tried_first_and_once(earlier, make_search, drive, space):
    points = best_points(earlier.folder.path, space)
    best = [params(earlier, result) for result in by_value(earlier)[:BEST_POINTS]]
    assert points == best
    killed = make_search("later", start_points=points, trials=9)
    drive(killed, events=7)
    killed.folder.close()
    search = make_search("later", start_points=points, trials=9)
    drive(search)
    search.close()
    tried = [spec.params for spec in search.folder.specs()]
    assert tried[:BEST_POINTS] == best
    assert tried.index(space.point(TrialConfig())) <= BEST_POINTS, "then the default configuration"
    assert len({str(point) for point in tried}) == 9


def test_points_outside_the_space_are_omitted(earlier):
    small = Space(
        {
            "optimizer.learning_rate": Float(0.03, 0.4, log=True),
            "training.epochs": Int(2, 10),
            "solver.gradient": Fixed("backprop"),
        }
    )
    points = best_points(earlier.folder.path, small)
    assert points
    tried = [spec.params for spec in earlier.folder.specs()]
    for point in points:
        assert 0.03 <= point["optimizer.learning_rate"] <= 0.4
        assert {**point, "solver.gradient": "backprop"} in tried
    nowhere = Space({"optimizer.learning_rate": Float(5.0, 6.0)})
    with pytest.raises(UsageError, match="none of its measured trials is in the search space"):
        best_points(earlier.folder.path, nowhere)


def test_a_directory_that_is_not_a_run_is_rejected(tmp_path, space):
    with pytest.raises(UsageError, match="is not a run directory"):
        best_points(tmp_path, space)


def test_prior_results_are_in_the_study_but_are_not_trials_of_the_run(
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
    # a resume does not add them again
    search = make_search("later", trials=6, sampler="tpe", start_points=points)
    search.study.warm_start(results())
    assert not search.has_work()
    tried = [spec.params for spec in search.folder.specs()]
    assert tried[:BEST_POINTS] == points, "they are trained again although their results are known"

    trials = search.study.study.get_trials()
    prior = {t.user_attrs[PRIOR_SOURCE]: t for t in trials if PRIOR_SOURCE in t.user_attrs}
    assert len(trials) - len(prior) == len(search.folder.specs()) == 6
    assert len(prior) == 20
    for result in by_value(earlier):
        trial = prior[f"earlier:{result.trial_id}"]
        assert (trial.state, trial.params) == (TrialState.COMPLETE, params(earlier, result))
        assert trial.values == pytest.approx(result.values)


def test_stopped_trials_are_omitted_if_their_values_are_not_comparable(earlier, space):
    results = list(prior_results(earlier.folder.path, space, OBJECTIVES["accuracy"], 6.0))
    completed = [r for r in by_value(earlier) if r.outcome is Outcome.COMPLETED]
    assert {result.source for result in results} == {f"earlier:{r.trial_id}" for r in completed}


def test_runs_with_another_objective_or_data_set_are_not_comparable(earlier, space):
    path = earlier.folder.path
    base = TrialConfig().to_dict()
    assert is_comparable(path, study_hash(to_dict(space), base, "anytime"))
    assert not is_comparable(path, study_hash(to_dict(space), base, "accuracy"))
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["base"]["data"]["dataset"] = "mnist"
    (path / MANIFEST).write_text(dumps(manifest))
    assert not is_comparable(path, study_hash(to_dict(space), base, "anytime"))


def test_a_warm_start_from_an_object_store_gives_the_same_results(earlier, store, space):
    for file in filter(Path.is_file, earlier.folder.path.rglob("*")):
        key = f"{store.path.key}/{file.relative_to(earlier.folder.path)}"
        store.objects[key] = file.read_bytes()
    assert best_points(store.path, space) == best_points(earlier.folder.path, space)
    objective = OBJECTIVES["anytime"]
    local = list(prior_results(earlier.folder.path, space, objective, 6.0))
    remote = list(prior_results(store.path, space, objective, 6.0))
    assert [result.values for result in remote] == [result.values for result in local]
