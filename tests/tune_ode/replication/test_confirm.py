"""Every candidate is trained with every seed exactly once, whatever happens in between."""

import contextlib
import json
import random

import pytest

from analysis.load import load_run
from analysis.load_confirmed import load_confirmed
from analysis.rank import rank
from tune_ode.config import TrialConfig
from tune_ode.errors import RunFailed, RunFolderError, UsageError
from tune_ode.records import DEFAULT, LAST_CHECKPOINT, Outcome
from tune_ode.replication.confirm import confirm, locked
from tune_ode.replication.confirm_plan import FIRST_SEED, plan_confirmation
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.replication.subprocess import ProcessDied
from tune_ode.runs.folder import RunFolder
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def run(make_search, drive, tmp_path, monkeypatch):
    """A finished search of eight trials; its first is the default configuration."""
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    search = make_search(trials=8)
    drive(search)
    search.close()
    search.folder.close()
    return tmp_path / "run"


@pytest.fixture
def train(events):
    """Return a function that confirms with made-up trainings; it returns the tasks they had."""

    def train(folder, *, events=events, **options):
        tasks = []

        def start(task, first):
            tasks.append((task, first))
            return events(task)

        with locked(folder):
            end = confirm(plan_confirmation(folder, **options), start=start)
        return end, tasks

    return train


def trained(folder):
    """What is trained: (trial, seed) → outcome."""
    again = RunFolder(folder / "confirm")
    try:
        return {
            (setup.confirms, setup.config["seed"]): again.result(setup.trial_id)
            for setup in again.specs()
        }
    finally:
        again.close()


def test_every_candidate_is_trained_with_every_seed_once(run, train):
    end, tasks = train(run, top=3, seeds=2)
    assert (end.interrupted, end.outcomes) == (False, {Outcome.COMPLETED: len(tasks)})
    found = trained(run)
    names = {name for name, _ in found}
    assert len(found) == len(tasks) == 2 * len(names)
    ranked = [row["trial_id"] for row in rank(load_run(run)).to_records() if row["rank"]]
    assert {*ranked[:3], "0001"} == names, "the default, which the search tried first, is there"
    seeds = [task.config["seed"] for task, _ in tasks]
    assert set(seeds) == {FIRST_SEED + 1, FIRST_SEED + 2}
    assert seeds == sorted(seeds), "round the candidates, so that a part of it is balanced"
    searched = {config["seed"] for config in load_run(run).trials["config"]}
    assert not searched & set(seeds)


def test_a_retraining_differs_from_its_trial_in_its_seed_alone(run, train):
    _, tasks = train(run, top=1, seeds=2)
    configs = dict(load_run(run).trials[["trial_id", "config"]].to_numpy())
    again = RunFolder(run / "confirm")
    for setup in again.specs():
        config = configs[setup.confirms]
        assert setup.config == config | {"seed": setup.config["seed"]}
    again.close()
    (task, first), *_ = tasks
    assert first
    assert task.budget_seconds == load_run(run).manifest.trial_seconds == 6.0
    assert task.report_instants == (2.0,), "as in the search"


def test_a_default_that_no_trial_had_is_trained_too(run, train):
    for config in (run / "trials").glob("*/config.json"):
        values = json.loads(config.read_text())
        values["config"]["model"]["width"] = 32
        config.write_text(json.dumps(values))
    train(run, top=1, seeds=2)
    names = [name for name, _ in trained(run)]
    assert names[1::2] == [DEFAULT, DEFAULT]


def test_equal_configurations_are_one_candidate(run, train):
    first, second = [row["trial_id"] for row in rank(load_run(run)).to_records()][:2]
    values = json.loads((run / "trials" / first / "config.json").read_text())
    values["config"]["seed"] = 77
    (run / "trials" / second / "config.json").write_text(json.dumps(values))
    train(run, top=2, seeds=2)
    assert second not in {name for name, _ in trained(run)}


def test_what_is_finished_is_never_trained_again(run, train, events):
    train(run, top=2, seeds=2)
    before = trained(run)
    end, tasks = train(run)  # as before
    assert (tasks, end.interrupted) == ([], False)
    assert trained(run) == before
    _, tasks = train(run, seeds=3)
    assert {task.config["seed"] for task, _ in tasks} == {FIRST_SEED + 3}
    _, tasks = train(run, top=3)
    assert len(trained(run)) == 3 * len({name for name, _ in trained(run)})
    assert trained(run).items() >= before.items()


def test_a_word_of_all_is_kept(run, train):
    train(run, top=2, seeds=2)
    confirmed = load_confirmed(load_run(run), rank(load_run(run)))
    assert confirmed.unfinished == 0
    for one in confirmed.candidates:
        assert one.outcomes == ("completed",) * 2
        assert one.test.count == one.val.count == 2
        assert one.cold_seconds == 20.0
    assert load_run(run / "confirm").manifest.state == "finished"
    assert not list((run / "confirm").rglob(LAST_CHECKPOINT)), "nothing goes on from there"


def test_killed_at_any_word_it_loses_the_running_training_at_most(run, train, events):
    dice = random.Random(0)

    class Killed(BaseException):
        pass

    kept = {}
    for _ in range(12):
        left = dice.randint(1, 12)

        def cut(task):
            nonlocal left
            for event in events(task):
                left -= 1
                if not left:
                    raise Killed
                yield event

        # what a killed process does not do: write down that it was interrupted
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReplicationRunner, "close", lambda self: None)
            with contextlib.suppress(Killed):
                train(run, events=lambda task: Closing(cut(task)), top=2, seeds=3)
        found = trained(run)
        assert {name: found[name] for name in kept} == kept
        kept = {name: end for name, end in found.items() if end is not None}
    end, _ = train(run)
    found = trained(run)
    assert not end.interrupted
    assert found.items() >= kept.items()
    assert {outcome.outcome for outcome in found.values()} == {Outcome.COMPLETED}
    assert len(found) == 3 * len({name for name, _ in found})


class Closing:
    def __init__(self, events):
        self.events = events

    def __iter__(self):
        return iter(self.events)

    def close(self):
        pass


def test_interrupted_it_goes_on_from_the_checkpoint(run, train, events):
    def interrupted(task):
        lines = events(task)[:-3]
        (task.folder / LAST_CHECKPOINT).touch()
        return Closing([*lines, TrialEnd(outcome=Outcome.INTERRUPTED)])

    stopping = []

    def stop_at_first(confirming):
        stopping.append(confirming)
        return lambda: confirming.stop() if not confirming.interrupted else None

    with locked(run):
        end = confirm(
            plan_confirmation(run, top=1, seeds=2), stop_at_first,
            start=lambda task, first: interrupted(task),
        )  # fmt: skip
    assert end.interrupted
    (outcome,) = trained(run).values()
    assert outcome.outcome is Outcome.INTERRUPTED
    assert load_run(run / "confirm").manifest.state == "interrupted"
    assert load_confirmed(load_run(run), rank(load_run(run))) is None, "nothing is confirmed yet"
    _, tasks = train(run)
    assert [first for _, first in tasks[:2]] == [False, True]
    assert tasks[0][0].attempt == 2


def test_a_training_whose_process_dies_is_tried_again_a_few_times(run, train, events):
    died = []

    def fragile(task):
        if task.trial_id == "0001":
            died.append(task.attempt)
            return Closing([ProcessDied()])
        return events(task)

    end, _ = train(run, events=fragile, top=1, seeds=2)
    assert died == [1, 2, 3, 4]
    assert not end.interrupted
    lost = next(iter(trained(run).values()))
    assert (lost.outcome, lost.crashes) == (Outcome.FAILED, 4)


def test_a_stop_in_the_examination_does_not_wait_for_it(run, events):
    seen = []

    def slow(task):
        *lines, trained_, found, ending = events(task)
        yield from [*lines, trained_]
        seen.append("it waited")
        yield from [found, ending]

    def stop_when_examined(confirming):
        def tick():
            if confirming.running and confirming.running.examined:
                confirming.stop()

        return tick

    with locked(run):
        end = confirm(
            plan_confirmation(run, top=1, seeds=2), stop_when_examined,
            start=lambda task, first: Closing(slow(task)),
        )  # fmt: skip
    assert end.interrupted
    assert seen == []


def test_a_full_disk_ends_it_and_it_goes_on_when_there_is_room(run, train):
    full = TrialEnd(outcome=Outcome.INTERRUPTED, reason="no space left to write last.pt")
    with pytest.raises(RunFailed, match=f"no space left .*tune-ode confirm {run}"):
        train(run, events=lambda task: Closing([full]), top=1, seeds=2)
    end, tasks = train(run)
    assert not end.interrupted
    assert {outcome.outcome for outcome in trained(run).values()} == {Outcome.COMPLETED}
    assert tasks[0][0].attempt == 2


def test_bad_endings_are_kept_and_the_rest_goes_on(run, train, events):
    def odd(task):
        if task.config["seed"] == FIRST_SEED + 1:
            return Closing([TrialEnd(outcome=Outcome.DIVERGED, reason="the loss is not finite")])
        return events(task)

    end, _ = train(run, events=odd, top=1, seeds=2)
    assert end.outcomes[Outcome.DIVERGED] == end.outcomes[Outcome.COMPLETED]
    confirmed = load_confirmed(load_run(run), rank(load_run(run)))
    assert confirmed.candidates[0].outcomes == ("diverged", "completed")
    assert confirmed.candidates[0].reached == 1


def test_what_cannot_be_confirmed(run, tmp_path, make_search):
    with pytest.raises(RunFolderError, match="no run folder"):
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


def test_a_device_that_is_not_here(run, monkeypatch):
    for reports in run.glob("trials/*/reports.jsonl"):
        reports.write_text(reports.read_text().replace('"cpu"', '"NVIDIA A100"'))
    monkeypatch.setattr("tune_ode.machine.resources._gpus", lambda: 0)
    with pytest.raises(UsageError, match="needs a GPU"):
        plan_confirmation(run)
