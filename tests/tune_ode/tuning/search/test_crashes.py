"""A trial whose process dies is restarted from its checkpoint, at most three times."""

from unittest.mock import Mock

import pytest
from optuna.trial import TrialState

from tune_ode.config import TrialConfig
from tune_ode.errors import TuneOdeError
from tune_ode.records import Outcome
from tune_ode.tuning.search.limits import MAX_CRASHES
from tune_ode.tuning.search.stopping import MAX_INITIAL_FAILURES
from tune_ode.worker.task import TrialEnd


def study_states(search):
    return [trial.state for trial in search.study.study.get_trials()]


def test_a_crashed_trial_is_restarted_as_the_same_trial_of_the_study(make_search, report):
    search = make_search(trials=1)
    task = search.next_task()
    search.on_report(report(task, 1, 0.5))
    search.on_worker_lost(task.trial_id)
    on_disk = search.folder.result(task.trial_id)
    assert (on_disk.outcome, on_disk.crashes) == (Outcome.INTERRUPTED, 1)
    assert study_states(search) == [TrialState.WAITING]
    assert search.has_work()

    again = search.next_task()
    assert (again.trial_id, again.attempt) == (task.trial_id, 2)
    assert TrialConfig.from_dict(again.config) == TrialConfig.from_dict(task.config).with_values(
        {"training.horizon": 1000}
    ), "the horizon that its first attempt reported"
    assert study_states(search) == [TrialState.RUNNING]
    search.on_report(report(again, 2, 0.6))
    search.on_end(again.trial_id, TrialEnd(outcome=Outcome.COMPLETED))
    search.close()
    assert search.next_task() is None
    (trial,) = search.study.study.get_trials()
    result = search.folder.result(task.trial_id)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, result.values)
    assert (result.crashes, result.attempt) == (1, 2)


@pytest.mark.parametrize("crashes", [["process"] * 4, ["driver"] * 4, ["process", "driver"] * 2])
def test_a_trial_that_crashes_too_often_fails(make_search, crashes):
    search = make_search(trials=2)
    attempts = []
    for what in crashes:
        task = search.next_task()
        attempts.append(task.attempt)
        if what == "process":
            search.on_worker_lost(task.trial_id)
        else:
            search = make_search(trials=2)
    assert attempts == [1, 2, 3, 4]
    failed = search.folder.result("0001")
    assert (failed.outcome, failed.crashes) == (Outcome.FAILED, MAX_CRASHES + 1)
    assert "died 4 times" in failed.reason
    assert search.next_task().trial_id == "0002"
    assert study_states(search) == [TrialState.FAIL, TrialState.RUNNING]


def test_a_graceful_interruption_is_not_a_crash(make_search):
    for _ in range(2 * MAX_CRASHES):
        search = make_search(trials=1)
        assert search.next_task().trial_id == "0001"
        search.stop("interrupted")
        search.on_worker_lost("0001")  # asked to stop, its process ends before the search does
        search.close()
        assert study_states(search) == [TrialState.WAITING]
    assert search.folder.result("0001").crashes == 0


def test_a_search_ends_when_every_process_dies(make_search):
    search = make_search(trials=30)
    while (task := search.next_task()) is not None:
        search.on_worker_lost(task.trial_id)
    assert search.failed
    assert f"the first {MAX_INITIAL_FAILURES} trials all ended as failed: its process died" in (
        search.stop_reason
    )


def test_a_proposal_that_did_not_become_a_trial_is_proposed_again(make_search, monkeypatch):
    search = make_search(trials=3)
    search.next_task()
    monkeypatch.setattr(search.folder, "add_trial", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search.next_task()
    lost = search.study.study.get_trials()[-1].params

    search = make_search(trials=3)
    search.next_task()
    assert search.folder.specs()[0].params != lost
    search.next_task()
    assert search.folder.specs()[1].params == lost
    assert len(study_states(search)) == 2


def test_a_trial_not_yet_linked_to_the_study_is_not_duplicated(make_search, monkeypatch):
    search = make_search(trials=3)
    monkeypatch.setattr(search.study, "attach", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search.next_task()
    search = make_search(trials=3)
    assert search.next_task().trial_id == "0001"
    (trial,) = search.study.study.get_trials()
    assert trial.user_attrs == {"trial_id": "0001"}


def test_a_result_that_the_study_does_not_receive_is_kept(make_search, monkeypatch, report):
    search = make_search(trials=2)
    task, other = search.next_task(), search.next_task()
    search.on_report(report(task, 1, 0.5))
    monkeypatch.setattr(
        search.study, "tell", Mock(side_effect=TuneOdeError("the database is gone"))
    )
    with pytest.raises(TuneOdeError):
        search.on_end(task.trial_id, TrialEnd(outcome=Outcome.COMPLETED))
    search.close()
    search = make_search(trials=2)
    result = search.folder.result(task.trial_id)
    assert result.outcome is Outcome.COMPLETED
    trials = search.study.study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert trials[0].values == result.values
    assert search.next_task().trial_id == other.trial_id


def test_a_trial_whose_result_was_deleted_runs_again(make_search, drive):
    search = make_search(trials=3)
    drive(search)
    search.close()
    (search.folder.trial("0002") / "outcome.json").unlink()
    (search.folder.trial("0002") / "reports.jsonl").unlink()
    search = make_search(trials=3)
    assert search.next_task().trial_id == "0002"
    assert search.next_task() is None
