"""The simulated engine: it makes the decisions of a real one, on a clock of its own."""

from collections import defaultdict

import pytest

from tune_ode.config import TrialConfig
from tune_ode.records import Outcome, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.simulation.engine import SimulatedClock, replay, run_simulated
from tune_ode.simulation.recordings import Recordings
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.local_backend import run_in_process
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec


@pytest.fixture
def make_search(tmp_path, recordings):
    opened = []

    def make(name, clock, **limits):
        manifest = RunManifest(
            name=name, state="running", options={}, space=recordings.space.to_dict(),
            base=TrialConfig().to_dict(), chance=0.1, trial_seconds=12.0, created=0.0,
        )  # fmt: skip
        opened.append(RunFolder.create(tmp_path / name, manifest))
        return Search(
            opened[-1],
            StudyAdapter(recordings.space, sampler="random"),
            TrialConfig(),
            Budget(**{"trials": 30, "seconds": None, "trial_seconds": 12.0} | limits),
            WorkerSpec(data_dir=None, device="cpu", threads=1),
            clock=clock,
        )

    yield make
    for folder in opened:
        folder.close()


def test_one_worker_decides_as_a_search_in_this_process_does(make_search, recordings):
    clock = SimulatedClock()
    simulated = make_search("simulated", clock)
    run_simulated(simulated, clock, workers=1, answer=replay(recordings))
    plain_clock = SimulatedClock()
    plain = make_search("plain", plain_clock)

    def answer(task):
        params = plain.running[task.trial_id].spec.params
        start = plain_clock.now
        for after, message in replay(recordings)(task, params, "node0"):
            plain_clock.now = start + after
            yield message

    run_in_process(plain, answer)
    assert plain.results.keys() == simulated.results.keys()
    for trial_id, outcome in plain.results.items():
        other = simulated.results[trial_id]
        assert (other.outcome, other.reason, other.values) == (
            outcome.outcome,
            outcome.reason,
            outcome.values,
        )
    assert simulated.scheduler.records == plain.scheduler.records
    assert any(one.outcome is Outcome.STOPPED for one in plain.results.values())


def test_workers_work_side_by_side_and_their_trials_follow_one_another(make_search, recordings):
    clock = SimulatedClock()
    search = make_search("run", clock)
    learned = run_simulated(search, clock, workers=3, answer=replay(recordings), turnover=0.5)
    assert len(search.results) == 30
    assert [one.at for one in learned] == sorted(one.at for one in learned)
    spans = sorted((one.started, one.ended) for one in search.results.values())
    starts = [start for start, _ in spans]
    assert starts[:3] == [0.0, 0.0, 0.0]
    for start in starts[3:]:  # each begins as one has ended, half a second before
        assert any(end == pytest.approx(start - 0.5) for _, end in spans)
    for instant in starts:
        assert sum(start <= instant < end for start, end in spans) <= 3


def test_the_time_budget_interrupts_what_runs(make_search, recordings):
    clock = SimulatedClock()
    search = make_search("run", clock, trials=None, seconds=40.0)
    learned = run_simulated(search, clock, workers=4, answer=replay(recordings))
    search.close()
    assert clock.now == 40.0
    assert max(one.at for one in learned) <= 40.0
    ends = defaultdict(int)
    for outcome in search.results.values():
        ends[outcome.outcome] += 1
        assert outcome.ended <= 40.0
    assert ends[Outcome.INTERRUPTED] == 4


def test_a_trial_that_diverged_when_recorded_does_so_again(write_table, rows, make_search):
    broken = Recordings.read(*write_table([row | {"outcome": "diverged"} for row in rows]))
    clock = SimulatedClock()
    search = make_search("run", clock, trials=2)
    run_simulated(search, clock, workers=2, answer=replay(broken))
    assert {one.outcome for one in search.results.values()} == {Outcome.DIVERGED}


def test_epochs_are_stretched_to_the_trials_own(make_search, recordings):
    clock = SimulatedClock()
    search = make_search("run", clock, trials=10, trial_seconds=1000.0)
    run_simulated(search, clock, workers=2, answer=replay(recordings))
    for outcome in search.results.values():
        setup = next(x for x in search._folder.specs() if x.trial_id == outcome.trial_id)
        last = search._folder.reports(outcome.trial_id)[-1]
        assert last.epoch == pytest.approx(setup.config["training"]["epochs"])
