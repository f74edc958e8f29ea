"""A confirmation trains each candidate with each seed exactly once, despite kills."""

import contextlib
import json
import random

import pytest

from analysis.confirmation.load import load_confirmation
from analysis.curves import report_instants
from analysis.load import load_run
from analysis.ranking import rank
from tests.factories import make_checkpoint
from tests.tune_ode.conftest import Events
from tune_ode.config import TrialConfig
from tune_ode.errors import RunFailed, RunFolderError, UsageError
from tune_ode.records import DEFAULT, LAST_CHECKPOINT, Outcome
from tune_ode.replication.confirm_plan import FIRST_SEED, plan_confirmation
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.replication.subprocess import ProcessDied
from tune_ode.replication.train import locked, train_all
from tune_ode.runs.folder import RunFolder
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def run(make_search, drive, tmp_path, working_directory):
    """Return the path of a finished search of eight trials, starting with the default."""
    search = make_search(trials=8)
    drive(search)
    search.close()
    search.folder.close()
    return tmp_path / "run"


@pytest.fixture
def train(events):
    """Return a function that confirms with made-up trainings; it returns the result and tasks."""

    def train(run, *, events=events, **options):
        tasks = []

        def start(task, from_scratch):
            tasks.append((task, from_scratch))
            return events(task)

        with locked(run):
            result = train_all(plan_confirmation(run, options), start=start)
        return result, tasks

    return train


def results_of(run):
    """Return the results of a confirmation by (trial, seed)."""
    with contextlib.closing(RunFolder(run / "confirm")) as folder:
        return {
            (spec.confirms, spec.config["seed"]): folder.result(spec.trial_id)
            for spec in folder.specs()
        }


def test_every_candidate_is_trained_with_every_seed_once(run, train):
    result, tasks = train(run, top=3, seeds=2)
    assert (result.interrupted, result.outcomes) == (False, {Outcome.COMPLETED: len(tasks)})
    found = results_of(run)
    names = {name for name, _ in found}
    assert len(found) == len(tasks) == 2 * len(names)
    ranked = [row["trial_id"] for row in rank(load_run(run)).to_records() if row["rank"]]
    assert {*ranked[:3], "0001"} == names, "with the default, which the search tried first"
    seeds = [task.config["seed"] for task, _ in tasks]
    assert set(seeds) == {FIRST_SEED + 1, FIRST_SEED + 2}
    assert seeds == sorted(seeds), "an interruption leaves candidates with equally many"
    searched = {config["seed"] for config in load_run(run).trials["config"]}
    assert not searched & set(seeds)


def test_only_the_seed_differs_from_the_trial_that_is_confirmed(run, train):
    manifest = json.loads((run / "run.json").read_text())
    manifest["options"]["instants_per_decade"] = 4
    (run / "run.json").write_text(json.dumps(manifest))
    _, tasks = train(run, top=1, seeds=2)
    configs = dict(load_run(run).trials[["trial_id", "config"]].to_numpy())
    with contextlib.closing(RunFolder(run / "confirm")) as folder:
        for spec in folder.specs():
            assert spec.config == configs[spec.confirms] | {"seed": spec.config["seed"]}
    (task, first), *_ = tasks
    assert first
    assert task.budget_seconds == load_run(run).manifest.trial_seconds == 6.0
    assert task.report_instants == report_instants(6.0, 4), "as in the search"


def test_a_default_without_a_trial_is_trained_too(run, train):
    for config in (run / "trials").glob("*/config.json"):
        values = json.loads(config.read_text())
        values["config"]["model"]["width"] = 32
        config.write_text(json.dumps(values))
    train(run, top=1, seeds=2)
    names = [name for name, _ in results_of(run)]
    assert names[1::2] == [DEFAULT, DEFAULT]


def test_equal_configurations_are_one_candidate(run, train):
    first, second = [row["trial_id"] for row in rank(load_run(run)).to_records()][:2]
    values = json.loads((run / "trials" / first / "config.json").read_text())
    values["config"]["seed"] = 77
    (run / "trials" / second / "config.json").write_text(json.dumps(values))
    train(run, top=2, seeds=2)
    assert second not in {name for name, _ in results_of(run)}


def test_finished_trainings_are_not_repeated(run, train, events):
    train(run, top=2, seeds=2)
    before = results_of(run)
    result, tasks = train(run)  # as before
    assert (tasks, result.interrupted) == ([], False)
    assert results_of(run) == before
    _, tasks = train(run, seeds=3)
    assert {task.config["seed"] for task, _ in tasks} == {FIRST_SEED + 3}
    _, tasks = train(run, top=3)
    assert len(results_of(run)) == 3 * len({name for name, _ in results_of(run)})
    assert results_of(run).items() >= before.items()


def test_all_measurements_are_kept(run, train):
    train(run, top=2, seeds=2)
    confirmed = load_confirmation(load_run(run), rank(load_run(run)))
    assert confirmed.unfinished == 0
    for one in confirmed.candidates:
        assert one.outcomes == ("completed",) * 2
        assert one.test.count == one.val.count == 2
        assert one.cold_seconds == 20.0
    assert load_run(run / "confirm").manifest.state == "finished"
    assert not list((run / "confirm").rglob(LAST_CHECKPOINT)), "not needed any more"


def test_a_kill_at_any_event_loses_at_most_the_running_training(run, train, events):
    rng = random.Random(0)

    class Killed(BaseException):
        pass

    kept = {}
    for _ in range(12):
        left = rng.randint(1, 12)

        def cut(task):
            nonlocal left
            for event in events(task):
                left -= 1
                if not left:
                    raise Killed
                yield event

        # a killed process does not record its interruption
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReplicationRunner, "close", lambda self: None)
            with contextlib.suppress(Killed):
                train(run, events=cut, top=2, seeds=3)
        found = results_of(run)
        assert {name: found[name] for name in kept} == kept
        kept = {name: end for name, end in found.items() if end is not None}
    result, _ = train(run)
    found = results_of(run)
    assert not result.interrupted
    assert found.items() >= kept.items()
    assert {outcome.outcome for outcome in found.values()} == {Outcome.COMPLETED}
    assert len(found) == 3 * len({name for name, _ in found})


def test_an_interrupted_training_resumes_from_its_checkpoint(run, train, events):
    def interrupted(task):
        reports = events(task)[:-3]
        (task.folder / LAST_CHECKPOINT).write_bytes(make_checkpoint())
        return Events([*reports, TrialEnd(outcome=Outcome.INTERRUPTED)])

    def stop_at_first(runner):
        return lambda: runner.stop() if not runner.interrupted else None

    with locked(run):
        result = train_all(
            plan_confirmation(run, {"top": 1, "seeds": 2}), stop_at_first,
            start=lambda task, from_scratch: interrupted(task),
        )  # fmt: skip
    assert result.interrupted
    (outcome,) = results_of(run).values()
    assert outcome.outcome is Outcome.INTERRUPTED
    assert load_run(run / "confirm").manifest.state == "interrupted"
    assert load_confirmation(load_run(run), rank(load_run(run))) is None, "no training has ended"
    _, tasks = train(run)
    assert [first for _, first in tasks[:2]] == [False, True]
    assert tasks[0][0].attempt == 2


def test_a_training_whose_process_dies_is_restarted_three_times(run, train, events):
    died = []

    def fragile(task):
        if task.trial_id == "0001":
            died.append(task.attempt)
            return Events([ProcessDied()])
        return events(task)

    result, _ = train(run, events=fragile, top=1, seeds=2)
    assert died == [1, 2, 3, 4]
    assert not result.interrupted
    lost = next(iter(results_of(run).values()))
    assert (lost.outcome, lost.crashes) == (Outcome.FAILED, 4)


def test_an_interrupt_does_not_wait_for_an_evaluation(run, events):
    seen = []

    def slow(task):
        *reports, done, confirmation, end = events(task)
        yield from [*reports, done]
        seen.append("waited")
        yield from [confirmation, end]

    def stop_when_evaluating(runner):
        def on_event():
            if runner.running and runner.running.evaluating:
                runner.stop()

        return on_event

    with locked(run):
        result = train_all(
            plan_confirmation(run, {"top": 1, "seeds": 2}), stop_when_evaluating,
            start=lambda task, from_scratch: slow(task),
        )  # fmt: skip
    assert result.interrupted
    assert seen == []


def test_a_full_disk_ends_a_confirmation_that_can_be_resumed(run, train):
    full = TrialEnd(outcome=Outcome.INTERRUPTED, reason="no space left to write last.pt")
    with pytest.raises(RunFailed, match="no space left .*tune-ode confirm run$"):
        train(run, events=lambda task: Events([full]), top=1, seeds=2)
    result, tasks = train(run)
    assert not result.interrupted
    assert {outcome.outcome for outcome in results_of(run).values()} == {Outcome.COMPLETED}
    assert tasks[0][0].attempt == 2


def test_failed_trainings_are_kept_and_the_others_continue(run, train, events):
    def diverging(task):
        if task.config["seed"] == FIRST_SEED + 1:
            return Events([TrialEnd(outcome=Outcome.DIVERGED, reason="the loss is not finite")])
        return events(task)

    result, _ = train(run, events=diverging, top=1, seeds=2)
    assert result.outcomes[Outcome.DIVERGED] == result.outcomes[Outcome.COMPLETED]
    confirmed = load_confirmation(load_run(run), rank(load_run(run)))
    assert confirmed.candidates[0].outcomes == ("diverged", "completed")
    assert confirmed.candidates[0].reached == 1


def test_runs_that_cannot_be_confirmed_are_rejected(run, tmp_path, make_search):
    with pytest.raises(RunFolderError, match="not a run directory"):
        plan_confirmation(tmp_path / "nowhere")
    search = make_search("empty")
    search.close()
    with pytest.raises(UsageError, match="no ranked trial to confirm; see why with: tune-ode"):
        plan_confirmation(tmp_path / "empty")
    manifest = json.loads((run / "run.json").read_text())
    base = TrialConfig().with_values({"data.dataset": f"folder:{tmp_path / 'gone'}"})
    (run / "run.json").write_text(json.dumps(manifest | {"base": base.to_dict()}))
    with pytest.raises(UsageError, match="does not exist"):
        plan_confirmation(run)
    assert not (run / "confirm").exists()


def test_a_missing_device_is_rejected(run, monkeypatch):
    for reports in run.glob("trials/*/reports.jsonl"):
        reports.write_text(reports.read_text().replace('"cpu"', '"NVIDIA A100"'))
    monkeypatch.setattr("tune_ode.machine.resources._gpus", lambda: 0)
    with pytest.raises(UsageError, match="needs a GPU"):
        plan_confirmation(run)
