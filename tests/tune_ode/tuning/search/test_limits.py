"""A search ends where its budget does, over all resumes, and says why."""

import dataclasses

import pytest

from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import _limits
from tune_ode.tuning.search.limits import MAX_CRASHES
from tune_ode.tuning.search.search import FAILURES_THAT_END_A_SEARCH
from tune_ode.worker.task import TrialEnd

ONE_GPU = plan_resources(local_machine(cpus=4, gpus=1))
NO_GPU = plan_resources(local_machine(cpus=4, gpus=0))


# --- GPU hours ------------------------------------------------------------------------------------


@pytest.fixture
def gpu_search(make_search):
    """Return a function that starts, or takes up, a search of half a GPU a trial."""

    return lambda seconds: make_search(gpus=0.5, gpu_seconds=seconds)


def test_gpu_seconds_are_those_of_all_trials_while_they_held_a_gpu(gpu_search, clock, report):
    search = gpu_search(100)
    first, second = search.next_task(), search.next_task()
    clock.now += 1000  # both wait for a node
    assert search.gpu_seconds() == 0
    search.on_start(first.trial_id)
    search.on_start(second.trial_id)
    clock.now += 10
    search.on_end(first.trial_id, TrialEnd(outcome=Outcome.FAILED, reason="x"))
    clock.now += 20  # one trial alone, and half a GPU idle
    assert search.gpu_seconds() == pytest.approx(20, abs=0.1)
    search.on_end(second.trial_id, TrialEnd(outcome=Outcome.FAILED, reason="x"))
    clock.now += 50
    assert search.gpu_seconds() == pytest.approx(20, abs=0.1)
    assert search.folder.result(second.trial_id).gpu_seconds == pytest.approx(15, abs=0.1)


def test_used_up_gpu_hours_end_a_search_for_good(gpu_search, make_search, clock):
    search = gpu_search(100)
    task = search.next_task()
    search.on_start(task.trial_id)
    clock.now += 201
    assert search.should_stop()
    assert search.stop_reason == "the GPU hours are used up"
    search.close()
    assert search.folder.manifest.state == "interrupted"
    assert search.folder.result(task.trial_id).outcome is Outcome.INTERRUPTED
    search.folder.close()

    search = gpu_search(100)
    assert not search.has_work()
    search.folder.close()
    search = gpu_search(120)
    assert search.next_task().trial_id == task.trial_id
    search.on_start(task.trial_id)
    clock.now += 41
    assert search.should_stop(), "what the first attempt used is counted"


def test_what_a_killed_driver_did_not_write_is_read_off_the_report_lines(gpu_search, clock, report):
    search = gpu_search(100)
    task = search.next_task()
    clock.now += 12
    search.on_report(report(task, 1, 0.5, seconds=10.0))  # 1.2 times as many seconds by the wall
    search.folder.close()
    search = gpu_search(100)
    assert search.gpu_seconds() == pytest.approx(0.5 * 12)


@pytest.mark.parametrize(("resources", "trial_seconds"), [(ONE_GPU, 360.0), (NO_GPU, None)])
def test_gpu_hours_need_a_gpu(resources, trial_seconds):
    question = SearchOptions(gpu_hours=1, trials=10).resolved()
    assert question.time_budget is None
    if trial_seconds is None:
        with pytest.raises(UsageError, match="--gpu-hours needs trials that use a GPU"):
            _limits(question, resources)
    else:
        limits = _limits(question, resources)
        assert (limits.gpu_seconds, limits.trial_seconds) == (3600, trial_seconds)


# --- target accuracy ------------------------------------------------------------------------------


def test_a_reached_target_finishes_a_search(make_search, report):
    search = make_search(trials=10)
    search.budget = dataclasses.replace(search.budget, target_accuracy=0.9)
    one, other = search.next_task(), search.next_task()
    assert search.on_report(report(other, 1, 0.89))
    assert not search.should_stop()
    assert not search.on_report(report(one, 1, 0.9))
    assert search.should_stop()
    assert not search.failed
    assert search.stop_reason == f"trial {one.trial_id} reached a validation accuracy of 0.9000"
    assert search.next_task() is None
    search.close()
    outcomes = search.results
    assert outcomes[one.trial_id].outcome is Outcome.STOPPED
    assert outcomes[one.trial_id].reason == "reached the target accuracy"
    assert outcomes[other.trial_id].outcome is Outcome.INTERRUPTED
    assert search.folder.manifest.state == "finished"
    search.folder.close()

    search = make_search(trials=10)
    search.budget = dataclasses.replace(search.budget, target_accuracy=0.9)
    assert not search.has_work()
    search.budget = dataclasses.replace(search.budget, target_accuracy=0.95)
    assert search.next_task().trial_id == other.trial_id, "with a higher one it goes on"


def test_a_trial_that_reaches_the_target_with_its_last_report_is_completed(make_search, report):
    search = make_search(trials=10)
    search.budget = dataclasses.replace(search.budget, target_accuracy=0.9)
    task = search.next_task()
    search.on_report(report(task, task.config["training"]["epochs"], 0.95))
    assert search.results[task.trial_id].outcome is Outcome.COMPLETED


def test_a_trial_is_not_stopped_at_a_rung_where_it_has_ended(make_search, report):
    search = make_search(trials=10, trial_seconds=27.0)
    tasks = [search.next_task() for _ in range(4)]
    for task, accuracy in zip(tasks, (0.9, 0.8, 0.7, 0.1), strict=True):
        epoch = task.config["training"]["epochs"] if task is tasks[-1] else 1
        goes_on = search.on_report(report(task, epoch, accuracy, seconds=1.0))
        assert goes_on == (task is not tasks[2])
    search.on_end(tasks[-1].trial_id, TrialEnd(outcome=Outcome.COMPLETED))
    assert search.results[tasks[-1].trial_id].outcome is Outcome.COMPLETED
    assert len(search.scheduler.records[0]) == 4, "but it is there for others to be compared with"


# --- nothing works --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.FAILED, "DataError: no such file"),
        (Outcome.OUT_OF_MEMORY, "tried to allocate {} MiB of 4096"),
        (Outcome.DIVERGED, "the training loss is not finite (epoch 0.{}, learning rate {}e+02)"),
    ],
)
def test_a_search_ends_whose_first_trials_all_end_for_one_reason(
    make_search, drive, outcome, reason
):
    def run_trial(task):
        yield TrialEnd(outcome=outcome, reason=reason.replace("{}", str(int(task.trial_id) * 7)))

    search = make_search(trials=50)
    drive(search, run_trial=run_trial)
    search.close()
    assert len(search.results) <= FAILURES_THAT_END_A_SEARCH + 1, "and what ran beside the last"
    assert search.failed
    assert search.stop_reason.startswith(f"the first 5 trials all ended as {outcome}: ")


def test_a_search_goes_on_where_reasons_differ_or_something_was_measured(
    make_search, drive, report
):
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


# --- stuck ----------------------------------------------------------------------------------------


def test_a_stuck_trial_fails_at_once_with_its_stack(make_search):
    search = make_search(trials=3)
    search.budget = dataclasses.replace(search.budget, report_timeout=30.0)
    stuck, killed = search.next_task(), search.next_task()
    (search.folder.trial(stuck.trial_id) / "stack.txt").write_text("File a.py, line 3 in wait")
    (search.folder.trial(killed.trial_id) / "stack.txt").touch()
    search.on_worker_lost(stuck.trial_id)
    outcome = search.folder.result(stuck.trial_id)
    assert outcome.outcome is Outcome.FAILED
    assert outcome.reason == "no report for 30 s; stack.txt shows where it hung"
    assert "line 3 in wait" in outcome.traceback

    search.on_worker_lost(killed.trial_id)
    assert MAX_CRASHES > 0
    assert search.next_task().trial_id == killed.trial_id, "one that was killed is tried again"
    assert not (search.folder.trial(killed.trial_id) / "stack.txt").exists()
