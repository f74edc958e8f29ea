"""No trial is lost or counted twice; study and run directory agree on how each one ended."""

import math
from unittest.mock import Mock

import pytest
from optuna.trial import TrialState

from search_spaces import configure
from tests.factories import make_checkpoint
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError
from tune_ode.records import LAST_CHECKPOINT, STOP_FILE, Outcome
from tune_ode.tuning.search.asha import AshaScheduler
from tune_ode.tuning.study.optuna_study import TRIAL_ID
from tune_ode.worker.task import TrialEnd

FINISHED = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}


def results_on_disk(search):
    return {spec.trial_id: search.folder.result(spec.trial_id) for spec in search.folder.specs()}


def study_by_trial(search):
    by_trial = {}
    for trial in search.study.study.get_trials():
        if trial.state is not TrialState.FAIL:
            trial_id = trial.user_attrs["trial_id"]
            assert trial_id not in by_trial, "a trial of the run counts once in the study"
            by_trial[trial_id] = trial
    return by_trial


def check_consistent(search, trials):
    """Check that the run directory has this number of trials, and the study the same values."""
    on_disk = results_on_disk(search)
    assert len(on_disk) == trials
    in_study = study_by_trial(search)
    for trial_id, result in on_disk.items():
        assert result is not None
        if result.outcome in (Outcome.COMPLETED, Outcome.STOPPED):
            assert in_study[trial_id].values == result.values
    assert all(trial.state in FINISHED for trial in search.study.study.get_trials())


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_starts_with_the_default_and_runs_its_number_of_trials(
    make_search, drive, sampler
):
    search = make_search(trials=12, sampler=sampler)
    drive(search)
    search.close()
    check_consistent(search, 12)
    specs = search.folder.specs()
    first = TrialConfig.from_dict(specs[0].config)
    assert first.with_values({"training.horizon": None}) == TrialConfig()
    assert len({str(spec.params) for spec in specs}) == 12
    assert len({spec.config["seed"] for spec in specs}) == 12
    outcomes = {result.outcome for result in results_on_disk(search).values()}
    assert outcomes == {Outcome.COMPLETED, Outcome.STOPPED}
    assert search.folder.manifest.state == "finished"


def test_the_same_seed_gives_the_same_proposals(make_search, drive):
    params = []
    for name in ("one", "two"):
        search = make_search(name, trials=8, sampler="tpe", seed=3)
        drive(search)
        search.close()
        params.append([spec.params for spec in search.folder.specs()])
    assert params[0] == params[1]


@pytest.mark.parametrize("events", range(0, 40, 3))
def test_a_driver_killed_at_any_event_loses_and_repeats_nothing(make_search, drive, events):
    killed = make_search(trials=10)
    drive(killed, events=events)
    finished = {k: result for k, result in results_on_disk(killed).items() if result is not None}

    search = make_search(trials=10)
    drive(search)
    search.close()
    check_consistent(search, 10)
    assert results_on_disk(search).items() >= finished.items()
    specs = search.folder.specs()
    assert len({str(spec.params) for spec in specs}) == 10
    # the rungs are those of a replay of the reports in order of arrival
    reports = [report for spec in specs for report in search.folder.reports(spec.trial_id)]
    replayed = AshaScheduler.create("seconds", search.budget.trial_seconds)
    for report in sorted(reports, key=lambda report: report.timestamp):
        replayed.on_report(report)
    assert search.scheduler.records == replayed.records


def test_a_report_repeated_after_a_resume_is_written_once(make_search, report):
    search = make_search(trials=1)
    task = search.next_task()
    search.on_report(report(task, 1, 0.5))
    search.stop("interrupted")
    search.close()

    search = make_search(trials=1)
    again = search.next_task()
    assert again.attempt == 2
    search.on_report(report(task, 1, 0.5))  # the report of the checkpoint, from the first attempt
    search.on_report(report(again, 2, 0.6))
    text = (search.folder.trial(task.trial_id) / "reports.jsonl").read_text()
    assert text.count("\n") == 2
    stamps = [written.timestamp for written in search.folder.reports(task.trial_id)]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("torn", [1, 7, 40])
def test_a_journal_truncated_in_the_middle_of_a_line_is_read(make_search, drive, torn):
    killed = make_search(trials=6)
    drive(killed, events=9)
    journal = killed.folder.study_path
    journal.write_bytes(journal.read_bytes()[:-torn])
    search = make_search(trials=6)
    drive(search)
    search.close()
    check_consistent(search, 6)


def test_an_interrupted_trial_is_resumed_first_and_keeps_its_id(make_search, drive):
    search = make_search(trials=6)
    drive(search, events=5)
    running = sorted(search.running)
    assert running
    search.stop("interrupted")
    assert search.next_task() is None
    search.close()
    on_disk = results_on_disk(search)
    assert {on_disk[trial_id].outcome for trial_id in running} == {Outcome.INTERRUPTED}
    assert search.folder.manifest.state == "interrupted"
    assert not (search.folder.path / STOP_FILE).exists()

    search = make_search(trials=6)
    task = search.next_task()
    assert (task.trial_id, task.attempt) == (running[0], 2)


def test_a_time_budget_ends_a_search_and_a_resume_continues_it(make_search, drive, clock):
    search = make_search(trials=6, seconds=100)
    drive(search, events=4)
    clock.now += 200
    assert search.next_task() is None
    assert (search.folder.path / STOP_FILE).exists(), "running trials are asked to stop"
    assert "time budget" in search.stop_reason
    search.close()

    search = make_search(trials=6, seconds=100)
    drive(search)
    search.close()
    check_consistent(search, 6)
    assert search.folder.manifest.seconds > 200, "seconds add up over resumes"


def test_an_early_stop_whose_result_was_not_written_is_applied_on_resume(
    make_search, monkeypatch, report
):
    search = make_search(trials=3)
    good, fair, bad = search.next_task(), search.next_task(), search.next_task()
    search.on_report(report(good, 1, 0.9, seconds=2.0))
    search.on_report(report(fair, 1, 0.8, seconds=2.0))
    monkeypatch.setattr(search.folder, "write_result", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search.on_report(report(bad, 1, 0.1, seconds=2.0))

    search = make_search(trials=3)
    assert search.folder.result(bad.trial_id).outcome is Outcome.STOPPED
    assert search.next_task().trial_id == good.trial_id


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.DIVERGED, TrialState.PRUNED),
        (Outcome.OUT_OF_MEMORY, TrialState.PRUNED),
        (Outcome.FAILED, TrialState.FAIL),
    ],
)
def test_failed_trials_have_no_value_in_the_study(make_search, drive, curve, outcome, state):
    def run_trial(task):
        if task.config["solver"]["gradient"] == "adjoint":
            yield TrialEnd(outcome=outcome, reason="some reason")
        else:
            yield from curve(task)

    search = make_search(trials=10)
    drive(search, run_trial=run_trial)
    search.close()
    trials = search.study.study.get_trials()
    bad = [trial for trial in trials if trial.params["solver.gradient"] == "adjoint"]
    assert bad
    assert {trial.state for trial in bad} == {state}
    assert all(trial.value is None for trial in bad)
    if state is TrialState.PRUNED:
        violated = [v for trial in bad for k, v in trial.system_attrs.items() if "trainable" in k]
        assert violated == [1.0] * len(bad)


def test_a_trial_that_a_full_disk_interrupts_can_be_resumed(make_search, drive, report):
    def run_trial(task):
        yield report(task, 1, 0.5)
        yield TrialEnd(outcome=Outcome.INTERRUPTED, reason="no space left")

    search = make_search(trials=4)
    drive(search, run_trial=run_trial)
    search.close()
    assert search.failed
    assert search.stop_reason == "no space left"
    search = make_search(trials=4)
    drive(search)
    search.close()
    check_consistent(search, 4)


def test_tpe_learns_from_results_unlike_random_search(make_search, drive):
    """With a single best learning rate, later proposals are closer to it."""
    distance = {}
    for sampler in ("random", "tpe"):
        search = make_search(sampler, trials=40, sampler=sampler)
        drive(search)
        search.close()
        rates = [s.params["optimizer.learning_rate"] for s in search.folder.specs()[20:]]
        distance[sampler] = sum(abs(math.log10(rate) + 1) for rate in rates)
    assert distance["tpe"] < 0.8 * distance["random"]


@pytest.mark.parametrize("every", [3, 1])
def test_an_invalid_proposal_is_skipped(make_search, drive, monkeypatch, every):
    """A space may contain invalid combinations; one of them does not end the search."""
    proposed = []

    def picky(base, params):
        proposed.append(params)
        if len(proposed) % every == 0:
            raise ConfigurationError("an invalid combination")
        return configure(base, params)

    monkeypatch.setattr("tune_ode.tuning.study.proposals.configure", picky)
    search = make_search(trials=6)
    if every == 1:
        with pytest.raises(ConfigurationError, match="invalid combination"):
            drive(search)
        return
    drive(search)
    search.close()
    assert len(search.results) == 6
    rejected = [t for t in search.study.study.trials if TRIAL_ID not in t.user_attrs]
    assert len(rejected) == 2
    assert {trial.state for trial in rejected} == {TrialState.PRUNED}


def test_a_search_records_the_concurrency_of_each_report(make_search, drive, report, clock):
    """After an interruption too: a resumed trial counts from its new start."""

    def run_trial(task):
        for epoch in range(1, 4):
            clock.now += 1
            (task.folder / LAST_CHECKPOINT).write_bytes(make_checkpoint())
            yield report(task, epoch, 0.5, seconds=3.0 * epoch)
        yield TrialEnd(outcome=Outcome.COMPLETED)

    search = make_search(trials=2, trial_seconds=None)
    drive(search, run_trial=run_trial, events=4)
    search.stop("interrupted")
    search.close()
    search = make_search(trials=2, trial_seconds=None)
    drive(search, run_trial=lambda task: list(run_trial(task))[2:].__iter__())
    search.close()
    for trial_id in ("0001", "0002"):
        reports = search.folder.reports(trial_id)
        assert [one.train_seconds for one in reports] == [3.0, 6.0, 9.0]
        assert reports[1].mean_concurrent_trials == pytest.approx(2.0, abs=0.01)
