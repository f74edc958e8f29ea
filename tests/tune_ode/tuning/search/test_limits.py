"""A search ends at its limits, which hold over all resumes, and reports why."""

import dataclasses

import pytest

from analysis.curves import report_instants
from tests.factories import make_manifest, make_report
from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import SEARCH_ENDED, Outcome
from tune_ode.tuning.budget import plan_budget
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.search.progress import Improvement
from tune_ode.tuning.search.stopping import MAX_INITIAL_FAILURES
from tune_ode.worker.task import TrialEnd


def is_cut_off(result):
    return (result.outcome, result.reason) == (Outcome.STOPPED, SEARCH_ENDED)


def test_trials_report_at_the_instants_of_the_options(make_search):
    resources = plan_resources(local_machine(), cpus_per_trial=1)
    budget = plan_budget(SearchOptions(instants_per_decade=4), resources)
    search = make_search(instants_per_decade=budget.instants_per_decade)
    assert search.next_task().report_instants == report_instants(6.0, 4)


def test_a_training_without_a_budget_reports_at_the_end_of_epochs(make_search):
    """`tune-ode train` ranks nothing."""
    assert make_search(trial_seconds=None).next_task().report_instants is None


# --- GPU hours ------------------------------------------------------------------------------------


@pytest.fixture
def gpu_search(make_search):
    """Return a function that starts or resumes a search with half a GPU per trial."""

    return lambda seconds: make_search(gpus=0.5, gpu_seconds=seconds)


def test_gpu_seconds_count_while_trials_hold_a_gpu(gpu_search, clock):
    search = gpu_search(100)
    first, second = search.next_task(), search.next_task()
    clock.now += 1000  # both wait for a node
    assert search.gpu_seconds() == 0
    search.on_start(first.trial_id)
    search.on_start(second.trial_id)
    clock.now += 10
    search.on_end(first.trial_id, TrialEnd(outcome=Outcome.FAILED, reason="x"))
    clock.now += 20  # one trial, and half a GPU idle
    assert search.gpu_seconds() == pytest.approx(20, abs=0.1)
    search.on_end(second.trial_id, TrialEnd(outcome=Outcome.FAILED, reason="x"))
    clock.now += 50
    assert search.gpu_seconds() == pytest.approx(20, abs=0.1)
    assert search.folder.result(second.trial_id).gpu_seconds == pytest.approx(15, abs=0.1)


def test_used_up_gpu_hours_also_end_a_resumed_search(gpu_search, clock):
    search = gpu_search(100)
    task = search.next_task()
    search.on_start(task.trial_id)
    clock.now += 201
    assert search.should_stop()
    search.close()
    assert search.folder.manifest.ending == "finished (GPU hours)"
    assert is_cut_off(search.folder.result(task.trial_id))

    search = gpu_search(100)
    assert not search.has_work()
    search = gpu_search(120)
    assert search.next_task().trial_id == task.trial_id
    search.on_start(task.trial_id)
    clock.now += 41
    assert search.should_stop(), "the first attempt counts"


def test_gpu_seconds_after_a_killed_driver_come_from_the_reports(gpu_search, clock, report):
    search = gpu_search(100)
    task = search.next_task()
    clock.now += 12
    search.on_report(report(task, 1, 0.5, seconds=10.0))  # 1.2 times as many wall-clock seconds
    search = gpu_search(100)
    assert search.gpu_seconds() == pytest.approx(0.5 * 12)


def test_gpu_hours_need_a_gpu():
    options = SearchOptions(gpu_hours=1, trials=10)
    budget = plan_budget(options, plan_resources(local_machine(cpus=4, gpus=1)))
    assert (budget.gpu_seconds, budget.seconds, budget.trial_seconds) == (3600, None, 360.0)
    with pytest.raises(UsageError, match="--gpu-hours needs trials that use a GPU"):
        plan_budget(options, plan_resources(local_machine(cpus=4, gpus=0)))


def test_gpu_hours_do_not_keep_a_search_from_going_on_without_gpus():
    without = plan_resources(local_machine(cpus=4, gpus=0))
    manifest = make_manifest(trial_seconds=7.0)
    with pytest.raises(UsageError, match="set --time-budget instead"):
        plan_budget(SearchOptions(gpu_hours=1), without, manifest)
    budget = plan_budget(SearchOptions(gpu_hours=1, time_budget=60), without, manifest)
    assert (budget.seconds, budget.trial_seconds) == (60, 7.0)


# --- target accuracy ------------------------------------------------------------------------------


def test_a_target_is_reached_on_all_validation_images_only(make_search, report):
    search = make_search(trials=10, target_accuracy=0.9)
    search.folder.update(validation_images=300)
    task = search.next_task()
    for images, continues in ((128, True), (300, False)):
        measured = dataclasses.replace(report(task, images, 0.95), val_images=images)
        assert search.on_report(measured) == continues
    assert search.stop_reason is None
    assert search.should_stop()


def test_a_search_that_reaches_its_target_is_finished(make_search, report):
    search = make_search(trials=10, target_accuracy=0.9)
    one, other = search.next_task(), search.next_task()
    assert search.on_report(report(other, 1, 0.89))
    assert not search.should_stop()
    assert not search.on_report(report(one, 1, 0.9))
    assert search.should_stop()
    assert not search.failed
    assert search.stop_reason == f"target accuracy: trial {one.trial_id} reached 0.9000"
    assert search.next_task() is None
    search.close()
    results = search.results
    assert results[one.trial_id].outcome is Outcome.STOPPED
    assert results[one.trial_id].reason == "reached the target accuracy"
    assert is_cut_off(results[other.trial_id])
    assert search.folder.manifest.state == "finished"

    search = make_search(trials=10, target_accuracy=0.9)
    assert not search.has_work()
    search = make_search(trials=10, target_accuracy=0.95)
    assert search.next_task().trial_id == other.trial_id, "a higher target continues it"


def test_a_trial_that_reaches_the_target_with_its_last_report_is_completed(make_search, report):
    search = make_search(trials=10, target_accuracy=0.9)
    task = search.next_task()
    search.on_report(report(task, task.config["training"]["epochs"], 0.95))
    assert search.results[task.trial_id].outcome is Outcome.COMPLETED


def test_a_trial_that_ends_at_a_rung_is_not_stopped(make_search, report):
    search = make_search(trials=10, trial_seconds=27.0)
    tasks = [search.next_task() for _ in range(4)]
    for task, accuracy in zip(tasks, (0.9, 0.8, 0.7, 0.1), strict=True):
        epoch = task.config["training"]["epochs"] if task is tasks[-1] else 1
        running = search.on_report(report(task, epoch, accuracy, seconds=2.8))
        assert running == (task is not tasks[2])
    search.on_end(tasks[-1].trial_id, TrialEnd(outcome=Outcome.COMPLETED))
    assert search.results[tasks[-1].trial_id].outcome is Outcome.COMPLETED
    assert len(search.scheduler.records[0]) == 4, "it is recorded for comparison"


# --- patience -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directions", "values", "since"),
    [
        (["maximize"], [[0.1], [0.3], [0.3], [0.2]], 2),
        (["maximize"], [None, None, [0.1], None], 1),
        (["maximize"], [None, None], 0),
        (["maximize", "minimize"], [[0.5, 2.0], [0.4, 1.0], [0.6, 3.0]], 0),
        (["maximize", "minimize"], [[0.5, 2.0], [0.4, 1.0], [0.4, 1.5], [0.5, 2.0]], 2),
    ],
)
def test_trials_without_an_improvement_are_counted(directions, values, since):
    improvement = Improvement(directions)
    for each in values:
        improvement.add(each)
    assert improvement.trials_since == since


def no_better(task):
    """Yield the events of a training whose accuracy falls with each trial, from the third on."""
    yield make_report(task.trial_id, epoch=1, val_accuracy=min(0.9, 1.2 - 0.1 * int(task.trial_id)))
    yield TrialEnd(outcome=Outcome.COMPLETED)


@pytest.mark.parametrize("objective", ["anytime", "accuracy", "pareto"])
def test_a_search_ends_if_the_objective_does_not_improve(make_search, drive, objective):
    search = make_search(trials=50, patience=4, objective=objective)
    drive(search, run_trial=no_better)
    search.close()
    assert search.stop_reason == "patience: no improvement for 4 trials"
    assert not search.failed
    finished = [r for r in search.results.values() if not is_cut_off(r)]
    assert len(finished) == 5
    manifest = search.folder.manifest
    assert (manifest.state, manifest.stop_reason) == ("finished", search.stop_reason)

    search = make_search(trials=50, patience=4, objective=objective)
    assert not search.has_work()
    assert search.end_reason() == manifest.stop_reason
    search = make_search(trials=50, patience=6, objective=objective)
    drive(search, run_trial=no_better)
    search.close()
    finished = [r for r in search.results.values() if not is_cut_off(r)]
    assert len(finished) == 7, "more patience continues it"


@pytest.mark.parametrize("events", [1, 6, 9])
def test_patience_does_not_depend_on_restarts(make_search, drive, events):
    drive(make_search(trials=50, patience=4), run_trial=no_better, workers=1, events=events)
    search = make_search(trials=50, patience=4)
    drive(search, run_trial=no_better, workers=1)
    search.close()
    assert len(search.results) == 5
    assert search.stop_reason == "patience: no improvement for 4 trials"


# --- time -----------------------------------------------------------------------------------------


def test_a_time_budget_shorter_than_the_start_is_named(make_search, clock, report):
    search = make_search(seconds=10)
    task = search.next_task()
    clock.now += 25
    assert search.should_stop()
    search.close()
    reason = "time budget: starting took 25 s; raise --time-budget"
    assert search.stop_reason == search.folder.manifest.stop_reason == reason

    search = make_search(seconds=10)
    clock.now += 8
    assert search.next_task().trial_id == task.trial_id
    search.on_start(task.trial_id)
    clock.now += 4
    assert search.should_stop()
    assert search.stop_reason == "time budget: starting took 8 s of 12 s; raise --time-budget"
    search.close()
    search = make_search(seconds=10)
    task = search.next_task()
    search.on_start(task.trial_id)
    search.on_report(report(task, 1, 0.5))
    clock.now += 11
    assert search.should_stop()
    assert search.stop_reason == "time budget"


def test_a_search_goes_on_with_the_rest_of_its_time_unless_it_gets_a_new_budget(
    make_search, clock, report
):
    search = make_search(seconds=10)
    search.on_report(report(search.next_task(), 1, 0.5))
    clock.now += 7
    search.stop("interrupted")
    search.close()
    for new_budget, left in ((False, 3), (True, 10)):
        search = make_search(seconds=10, new_budget=new_budget)
        clock.now += left - 0.5
        assert not search.should_stop()
        clock.now += 0.5
        assert search.should_stop()


def test_a_search_that_was_interrupted_before_its_first_trial_is_not_finished(make_search):
    search = make_search(trials=None, seconds=10)
    search.stop("interrupted")
    search.close()
    assert search.folder.manifest.ending == "interrupted"


def test_a_trial_that_the_end_cut_off_waits_in_the_study_until_a_resume(make_search, drive, clock):
    search = make_search(trials=6, seconds=10)
    drive(search, events=4)
    cut_off = list(search.running)
    clock.now += 11
    assert search.should_stop()
    search.on_end(cut_off[0], TrialEnd(outcome=Outcome.INTERRUPTED))  # it has saved its state
    search.close()
    assert all(is_cut_off(search.folder.result(trial_id)) for trial_id in cut_off)
    assert search.folder.manifest.ending == "finished (time budget)"
    states = {t.user_attrs["trial_id"]: t.state.name for t in search.study.study.get_trials()}
    assert {states[trial_id] for trial_id in cut_off} == {"WAITING"}

    search = make_search(trials=6, seconds=10)
    assert search.next_task().trial_id == cut_off[0]
    drive(search)


# --- every trial fails ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason", "workers"),
    [
        (Outcome.FAILED, "DataError: no such file", 1),
        (Outcome.FAILED, "DataError: no such file", 2),
        (Outcome.OUT_OF_MEMORY, "tried to allocate {} MiB of 4096", 2),
        (Outcome.DIVERGED, "the training loss is not finite (epoch 0.{}, learning rate {}e+02)", 2),
    ],
)
def test_a_search_ends_if_its_first_trials_fail_for_one_reason(
    make_search, drive, outcome, reason, workers
):
    def run_trial(task):
        yield TrialEnd(outcome=outcome, reason=reason.replace("{}", str(int(task.trial_id) * 7)))

    search = make_search(trials=50)
    drive(search, run_trial=run_trial, workers=workers)
    search.close()
    running = workers - 1
    assert MAX_INITIAL_FAILURES <= len(search.results) <= MAX_INITIAL_FAILURES + running
    assert search.failed
    assert search.stop_reason.startswith(f"the first 5 trials all ended as {outcome}: ")
    assert reason.partition("{}")[0] in search.stop_reason


def test_a_search_continues_if_reasons_differ_or_a_trial_was_measured(make_search, drive, report):
    def different(task):
        yield TrialEnd(outcome=Outcome.FAILED, reason="abc"[int(task.trial_id) % 3])

    def measured(task):
        yield report(task, 1, 0.5)
        yield TrialEnd(outcome=Outcome.DIVERGED, reason="the loss is not finite")

    for name, run_trial in (("different", different), ("measured", measured)):
        search = make_search(name, trials=10)
        drive(search, run_trial=run_trial)
        search.close()
        assert len(search.results) == 10
        assert search.stop_reason is None


def test_a_hanging_trial_fails_at_once_with_its_stack(make_search):
    search = make_search(trials=3, report_timeout=30.0)
    hanging, killed = search.next_task(), search.next_task()
    (search.folder.trial(hanging.trial_id) / "stack.txt").write_text("File a.py, line 3 in wait")
    (search.folder.trial(killed.trial_id) / "stack.txt").touch()
    search.on_worker_lost(hanging.trial_id)
    result = search.folder.result(hanging.trial_id)
    assert result.outcome is Outcome.FAILED
    assert result.reason == "no report for 30 s; stack.txt shows where it hung"
    assert "line 3 in wait" in result.traceback

    search.on_worker_lost(killed.trial_id)
    assert search.next_task().trial_id == killed.trial_id, "a killed trial is restarted"
    assert not (search.folder.trial(killed.trial_id) / "stack.txt").exists()
