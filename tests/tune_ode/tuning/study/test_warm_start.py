"""A search that starts from an earlier run tries its best points and knows its results."""

import json
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search_spaces import Choice, Fixed, Float, Int, Space
from tests.factories import make_report
from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.records import MANIFEST, Outcome, dumps
from tune_ode.tuning.study.objective import OBJECTIVES
from tune_ode.tuning.study.warm_start import BEST_POINTS, PRIOR_SOURCE, best_points, prior_results
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def earlier(make_search, drive):
    """Return a finished search of 20 trials, some of them stopped."""
    search = make_search("earlier", trials=20, seed=1)
    drive(search)
    search.close()
    search.folder.close()
    return search


def known(
    path, space, *, base=None, objective="anytime", budget=6.0, fingerprint=None, per_decade=8
):
    base = TrialConfig() if base is None else base
    return prior_results(path, space, base, OBJECTIVES[objective], budget, fingerprint, per_decade)


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
    results = known(earlier.folder.path, space).kept
    search.study.warm_start(results)
    drive(search)
    search.close()
    search.folder.close()
    # a resume does not add them again
    search = make_search("later", trials=6, sampler="tpe", start_points=points)
    search.study.warm_start(results)
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
    found = known(earlier.folder.path, space, objective="accuracy")
    completed = [r for r in by_value(earlier) if r.outcome is Outcome.COMPLETED]
    assert {result.source for result in found.kept} == {f"earlier:{r.trial_id}" for r in completed}
    assert found.omitted == {"stopped early": 20 - len(completed)}


def test_a_wider_space_keeps_all_results(earlier, space):
    """What was constant may be searched now; its value is part of the points."""
    wider = space | Space({"training.batch_size": Choice(64, 128, 256)})
    found = known(earlier.folder.path, wider)
    assert str(found) == "the sampler knows 20 of its 20 results"
    assert {result.params["training.batch_size"] for result in found.kept} == {128}
    assert best_points(earlier.folder.path, wider) == [
        point | {"training.batch_size": 128} for point in best_points(earlier.folder.path, space)
    ]


def test_a_narrower_space_keeps_the_results_inside(earlier, space):
    inside = [p for spec in earlier.folder.specs() if (p := spec.params)["training.epochs"] <= 5]
    narrow = Space({**space.parameters, "training.epochs": Int(2, 5)})
    found = known(earlier.folder.path, narrow)
    assert [result.params for result in found.kept] == inside
    assert found.omitted == {"outside the space": 20 - len(inside)}
    # a parameter that is not searched any more keeps the trials with its value
    narrow = Space({name: p for name, p in space.parameters.items() if name != "solver.gradient"})
    found = known(earlier.folder.path, narrow)
    same = [s for s in earlier.folder.specs() if s.params["solver.gradient"] == "backprop"]
    assert len(found.kept) == len(same) > 0
    assert found.omitted == {"with another solver.gradient": 20 - len(same)}


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"data.dataset": "mnist"}, {}, "with another data.dataset"),
        ({"data.train_images": 100}, {}, "with another data.train_images"),
        ({"model.width": 8}, {}, "with another model.width"),
        ({"execution.precision": "bf16"}, {}, "with another execution.precision"),
        ({}, {"fingerprint": {"classes": {}}}, "with other images"),
        (
            {},
            {"per_decade": 4},
            "reported at other instants (--instants-per-decade 8 keeps them)",
        ),
    ],
)
def test_results_of_another_problem_are_not_comparable(earlier, space, changes, options, reason):
    manifest = json.loads((earlier.folder.path / MANIFEST).read_text())
    manifest["fingerprint"] = {"classes": {"a": {}}} if "fingerprint" in options else None
    (earlier.folder.path / MANIFEST).write_text(dumps(manifest))
    base = TrialConfig().with_values(changes)
    found = known(earlier.folder.path, space, base=base, **options)
    assert (found.kept, found.omitted) == ([], {reason: 20})
    assert str(found).endswith(f"0 of its 20 results; not comparable: 20 {reason}")


def test_seeds_and_the_path_of_the_same_images_do_not_matter(earlier, space):
    prints = {"classes": {"a": {}}}
    manifest = json.loads((earlier.folder.path / MANIFEST).read_text())
    (earlier.folder.path / MANIFEST).write_text(dumps(manifest | {"fingerprint": prints}))
    moved = {"seed": 5, "data.split_seed": 6, "data.dataset": "folder:/elsewhere"}
    base = TrialConfig().with_values(moved)
    assert len(known(earlier.folder.path, space, base=base, fingerprint=prints).kept) == 20


@pytest.mark.parametrize("budget", [2.0, 4.0, 60.0, None])
def test_trials_whose_schedule_fits_both_budgets_are_comparable(make_search, drive, space, budget):
    """A trial has as many epochs as it takes seconds; the horizon is cut to a budget of 4 s."""

    def train(task):
        epochs = task.config["training"]["epochs"]
        for epoch in range(1, min(epochs, 4) + 1):
            yield make_report(task.trial_id, epoch, 0.5, horizon=100 * min(epochs, 4))
        yield TrialEnd(outcome=Outcome.COMPLETED)

    search = make_search("earlier", trials=20, trial_seconds=4.0)
    drive(search, run_trial=train)
    search.close()
    found = known(search.folder.path, space, objective="pareto", budget=budget)
    epochs = {s.trial_id: s.config["training"]["epochs"] for s in search.folder.specs()}
    most = {2.0: 2, 4.0: 10, 60.0: 4, None: 4}[budget]
    comparable = {f"earlier:{trial_id}" for trial_id, n in epochs.items() if n <= most}
    assert {result.source for result in found.kept} == comparable
    reason = "trained for another budget (--trial-seconds 4 keeps them)"
    assert found.omitted == ({reason: 20 - len(comparable)} if len(comparable) < 20 else {})


def test_a_warm_start_from_an_object_store_gives_the_same_results(earlier, store, space):
    for file in filter(Path.is_file, earlier.folder.path.rglob("*")):
        key = f"{store.path.key}/{file.relative_to(earlier.folder.path)}"
        store.objects[key] = file.read_bytes()
    assert best_points(store.path, space) == best_points(earlier.folder.path, space)
    local, remote = known(earlier.folder.path, space), known(store.path, space)
    assert [result.values for result in remote.kept] == [result.values for result in local.kept]
