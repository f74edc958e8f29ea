"""The simulated engine makes the same decisions as a real one."""

import pytest

from search_spaces import to_dict
from tests.factories import make_manifest
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome
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

    def make(name, clock, **budget):
        manifest = make_manifest(space=to_dict(recordings.space), trial_seconds=12.0)
        opened.append(RunFolder.create(tmp_path / name, manifest))
        return Search(
            opened[-1],
            StudyAdapter(recordings.space, sampler="random"),
            TrialConfig(),
            Budget(**{"trials": 30, "seconds": None, "trial_seconds": 12.0} | budget),
            WorkerSpec(data_dir=None, device="cpu", threads=1),
            clock=clock,
        )

    yield make
    for folder in opened:
        folder.close()


def test_one_worker_makes_the_same_decisions_as_an_in_process_search(make_search, recordings):
    clock = SimulatedClock()
    simulated = make_search("simulated", clock)
    run_simulated(simulated, clock, workers=1, run_trial=replay(recordings))
    real_clock = SimulatedClock()
    real = make_search("real", real_clock)

    def run_trial(task):
        params = real.running[task.trial_id].spec.params
        start = real_clock.now
        for seconds, event in replay(recordings)(task, params, "node0"):
            real_clock.now = start + seconds
            yield event

    run_in_process(real, run_trial)

    def decisions(search):
        return {id: (r.outcome, r.reason, r.values) for id, r in search.results.items()}

    assert decisions(simulated) == decisions(real)
    assert simulated.scheduler.records == real.scheduler.records
    assert any(result.outcome is Outcome.STOPPED for result in real.results.values())


def test_workers_run_concurrently_and_each_runs_one_trial_after_another(make_search, recordings):
    clock = SimulatedClock()
    search = make_search("run", clock)
    observations = run_simulated(
        search, clock, workers=3, run_trial=replay(recordings), restart_overhead=0.5
    )
    assert len(search.results) == 30
    assert [point.time for point in observations] == sorted(p.time for p in observations)
    spans = sorted((result.started, result.ended) for result in search.results.values())
    starts = [start for start, _ in spans]
    assert starts[:3] == [0.0, 0.0, 0.0]
    for start in starts[3:]:  # each starts 0.5 s after another has ended
        assert any(end == pytest.approx(start - 0.5) for _, end in spans)
    for instant in starts:
        assert sum(start <= instant < end for start, end in spans) <= 3


def test_the_time_budget_cuts_running_trials_off(make_search, recordings):
    clock = SimulatedClock()
    search = make_search("run", clock, trials=None, seconds=40.0)
    observations = run_simulated(search, clock, workers=4, run_trial=replay(recordings))
    search.close()
    assert clock.now == 40.0
    assert max(point.time for point in observations) <= 40.0
    assert all(result.ended <= 40.0 for result in search.results.values())
    assert sum(result.can_resume for result in search.results.values()) == 4


def test_a_diverged_trial_diverges_in_the_replay(write_table, rows, make_search):
    broken = Recordings.read(*write_table([row | {"outcome": "diverged"} for row in rows]))
    clock = SimulatedClock()
    search = make_search("run", clock, trials=2)
    run_simulated(search, clock, workers=2, run_trial=replay(broken))
    assert {result.outcome for result in search.results.values()} == {Outcome.DIVERGED}


def test_epochs_are_rescaled_to_those_of_the_trial(make_search, recordings):
    clock = SimulatedClock()
    search = make_search("run", clock, trials=10, trial_seconds=1000.0)
    run_simulated(search, clock, workers=2, run_trial=replay(recordings))
    for spec in search._folder.specs():
        last = search._folder.reports(spec.trial_id)[-1]
        assert last.epoch == pytest.approx(spec.config["training"]["epochs"])
