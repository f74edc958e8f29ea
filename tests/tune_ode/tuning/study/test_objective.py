"""Objective values reach the study and survive a restart."""

import math

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tests.factories import make_report
from tests.tune_ode.conftest import curve
from tune_ode.records import Outcome
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.study.objective import OBJECTIVES, intermediate_values
from tune_ode.tuning.study.samplers import SAMPLERS
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def reports():
    curve = [(0.5, 0.2), (1.5, 0.7), (1.9, 0.6), (4.0, 0.9), (6.5, 0.9)]
    points = [make_report("0001", n, a, seconds=s) for n, (s, a) in enumerate(curve, 1)]
    points.insert(2, make_report("0001", 2.5, None, seconds=1.7))  # a non-finite evaluation
    return points


def test_values_are_computed_from_the_curve(reports):
    assert OBJECTIVES["accuracy"].values(reports, 10.0) == (0.9,)
    assert OBJECTIVES["pareto"].values(reports, 10.0) == (0.9, math.log(4.0))
    ((area),) = OBJECTIVES["anytime"].values(reports, 10.0)
    expected = 0.2 * math.log(1.5 / 0.5) + 0.7 * math.log(4 / 1.5) + 0.9 * math.log(10 / 4)
    assert area == pytest.approx(expected / math.log(1000))


def test_curves_in_the_study_have_a_step_per_instant_or_epoch(reports):
    assert intermediate_values(reports, [0.5, 1, 1.5, 2, 8]) == {1: 0.2, 3: 0.7, 4: 0.9}
    assert intermediate_values(reports, None) == {1: 0.2, 2: 0.7, 3: 0.7, 4: 0.9, 5: 0.9}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_a_trial_without_measurements_has_no_value(objective):
    assert objective.values([], 10.0) is None
    assert objective.values([make_report(val_accuracy=None)], 10.0) is None
    if objective.name == "anytime":
        assert objective.values([make_report()], None) is None, "no budget ends the area"


def test_every_objective_is_a_valid_option():
    for name in OBJECTIVES:
        assert SearchOptions.from_dict(SearchOptions(objective=name).to_dict()).objective == name


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_restarted_search_agrees_with_its_study_for_each_objective(
    make_search, drive, name, sampler
):
    options = {"trials": 16, "objective": name, "sampler": sampler}
    killed = make_search(**options)
    drive(killed, events=30)
    killed.folder.close()
    search = make_search(**options)
    drive(search, run_trial=sometimes_diverging)
    search.close()

    study = search.study.study
    maximize, minimize = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    assert study.directions == ([maximize, minimize] if name == "pareto" else [maximize])
    trials = {trial.user_attrs["trial_id"]: trial for trial in study.get_trials()}
    assert len(trials) == len(study.get_trials()) == 16
    outcomes = set()
    for trial_id, trial in trials.items():
        result = search.folder.result(trial_id)
        outcomes.add(result.outcome)
        assert trial.values == result.values
        if result.outcome is Outcome.DIVERGED:
            assert (trial.state, trial.values) == (TrialState.PRUNED, None)
        elif result.outcome is Outcome.STOPPED and name == "accuracy":
            assert trial.state is TrialState.PRUNED
        else:
            assert trial.state is TrialState.COMPLETE
        curve = trial.intermediate_values
        if name == "pareto" or not result.values:
            assert not curve
        else:
            assert curve == intermediate_values(search.folder.reports(trial_id), None)
            assert name != "accuracy" or list(curve.values())[-1:] == result.values
    assert outcomes == {Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED}


def sometimes_diverging(task):
    if int(task.trial_id) % 4 == 0:
        yield TrialEnd(outcome=Outcome.DIVERGED, reason="not finite")
    else:
        yield from curve(task)
