"""A trial whose process dies goes on from its checkpoint, three times at most; then it fails."""

import pytest
from optuna.trial import TrialState

from tune_ode.errors import TuneOdeError
from tune_ode.records import Outcome
from tune_ode.tuning.search.limits import MAX_CRASHES
from tune_ode.tuning.search.search import FAILURES_THAT_END_A_SEARCH
from tune_ode.worker.task import TrialEnd


def study_states(search):
    return [trial.state for trial in search.study.study.get_trials()]


def test_a_lost_trial_is_taken_up_again_as_the_same_trial_of_the_study(make_search, report):
    search = make_search(trials=1)
    task = search.next_task()
    search.on_report(report(task, 1, 0.5))
    search.on_worker_lost(task.trial_id)
    on_disk = search.folder.result(task.trial_id)
    assert (on_disk.outcome, on_disk.crashes) == (Outcome.INTERRUPTED, 1)
    assert study_states(search) == [TrialState.WAITING]
    assert search.has_work()

    again = search.next_task()
    assert (again.trial_id, again.attempt, again.config) == (task.trial_id, 2, task.config)
    assert study_states(search) == [TrialState.RUNNING]
    search.on_report(report(again, 2, 0.6))
    search.on_end(again.trial_id, TrialEnd(outcome=Outcome.COMPLETED))
    search.close()
    assert search.next_task() is None
    (told,) = search.study.study.get_trials()
    ended = search.folder.result(task.trial_id)
    assert (told.state, told.values) == (TrialState.COMPLETE, ended.values)
    assert (ended.crashes, ended.attempt) == (1, 2)


def lose(search, how):
    """Take up the next trial and lose it; return the search that goes on."""
    task = search.next_task()
    if how == "process":
        search.on_worker_lost(task.trial_id)
    else:
        search.folder.close()  # as the operating system does for a killed driver; nothing else
    return task


@pytest.mark.parametrize("hows", [["process"] * 4, ["driver"] * 4, ["process", "driver"] * 2])
def test_a_trial_that_is_lost_too_often_fails(make_search, hows):
    search = make_search(trials=2)
    attempts = []
    for how in hows:
        attempts.append(lose(search, how).attempt)
        if how == "driver":
            search = make_search(trials=2)
    assert attempts == [1, 2, 3, 4]
    failed = search.folder.result("0001")
    assert (failed.outcome, failed.crashes) == (Outcome.FAILED, MAX_CRASHES + 1)
    assert "died 4 times" in failed.reason
    assert search.next_task().trial_id == "0002"
    assert study_states(search) == [TrialState.FAIL, TrialState.RUNNING]


def test_an_orderly_interruption_is_no_loss(make_search):
    for _ in range(2 * MAX_CRASHES):
        search = make_search(trials=1)
        assert search.next_task().trial_id == "0001"
        search.stop("interrupted")
        search.on_worker_lost("0001")  # told to stop, its process leaves before the search does
        search.close()
        assert study_states(search) == [TrialState.WAITING]
        search.folder.close()
    assert search.folder.result("0001").crashes == 0


def test_a_search_ends_when_every_process_dies(make_search):
    search = make_search(trials=30)
    while (task := search.next_task()) is not None:
        search.on_worker_lost(task.trial_id)
    assert search.failed
    assert (
        f"the first {FAILURES_THAT_END_A_SEARCH} trials all ended as failed: its process died"
        in (search.stop_reason)
    )


def test_a_proposal_that_never_became_a_trial_is_proposed_again(make_search, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    search = make_search(trials=3)
    search.next_task()
    monkeypatch.setattr(search.folder, "add_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        search.next_task()
    search.folder.close()
    lost = search.study.study.get_trials()[-1].params

    search = make_search(trials=3)
    search.next_task()
    assert search.folder.specs()[0].params != lost
    search.next_task()
    assert search.folder.specs()[1].params == lost
    assert len(study_states(search)) == 2


def test_a_trial_whose_tie_to_the_study_was_never_written_is_no_second_one(
    make_search, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    search = make_search(trials=3)
    monkeypatch.setattr(search.study, "attach", killed)
    with pytest.raises(KeyboardInterrupt):
        search.next_task()
    search.folder.close()
    search = make_search(trials=3)
    assert search.next_task().trial_id == "0001"
    (trial,) = search.study.study.get_trials()
    assert trial.user_attrs == {"trial_id": "0001"}


def test_a_trial_that_ended_stays_ended_when_the_study_cannot_be_told(
    make_search, monkeypatch, report
):
    def gone(*_):
        raise TuneOdeError("the database has gone")

    search = make_search(trials=2)
    task, other = search.next_task(), search.next_task()
    search.on_report(report(task, 1, 0.5))
    monkeypatch.setattr(search.study, "tell", gone)
    with pytest.raises(TuneOdeError):
        search.on_end(task.trial_id, TrialEnd(outcome=Outcome.COMPLETED))
    search.close()
    search.folder.close()
    search = make_search(trials=2)
    ended = search.folder.result(task.trial_id)
    assert ended.outcome is Outcome.COMPLETED
    told = search.study.study.get_trials()
    assert [trial.state for trial in told] == [TrialState.COMPLETE, TrialState.WAITING]
    assert told[0].values == ended.values
    assert search.next_task().trial_id == other.trial_id


def test_an_outcome_taken_away_has_its_trial_tried_again(make_search, drive):
    search = make_search(trials=3)
    drive(search)
    search.close()
    search.folder.close()
    (search.folder.trial("0002") / "outcome.json").unlink()
    (search.folder.trial("0002") / "reports.jsonl").unlink()
    search = make_search(trials=3)
    assert search.next_task().trial_id == "0002"
    assert search.next_task() is None
