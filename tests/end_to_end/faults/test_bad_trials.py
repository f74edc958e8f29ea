"""Bad trials on real Ray end with one outcome each, and the search continues."""

import dataclasses
import io
import time

import pytest
from rich.console import Console

from search_spaces import Choice, Fixed, Float, Space, to_dict
from tests.factories import make_manifest, make_report
from tune_ode.cli.display.search import SearchDisplay
from tune_ode.config import TrialConfig
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import TrialEnd, run_trial

pytestmark = pytest.mark.long
MB = 10**6


@pytest.fixture
def run(tmp_path, capfd):
    """Return a function that runs a search on Ray and returns it with all that was printed."""

    def run(space, run_trial, *, base=None, trials, memory=None, report_timeout=None, points=()):
        from tune_ode.tuning.ray_backend.engine import run_on_ray

        base = base or TrialConfig()
        manifest = make_manifest(space=to_dict(space), base=base.to_dict(), trial_seconds=5.0)
        folder = RunFolder.create(tmp_path / "run", manifest)
        search = Search(
            folder,
            StudyAdapter(space, journal=folder.study_path),
            base,
            Budget(trials=trials, seconds=None, trial_seconds=5.0, report_timeout=report_timeout),
            WorkerSpec(data_dir=None, device="cpu", threads=1, memory_bytes=memory),
            start_points=points,
        )
        screen = io.StringIO()
        resources = plan_resources(local_machine(cpus=2, gpus=0))
        with SearchDisplay(search, Console(file=screen)) as display:
            run_on_ray(search, resources, run_trial=run_trial, tick=display.tick)
        search.close()
        folder.close()
        return search, screen.getvalue() + "".join(capfd.readouterr())

    return run


# functions within functions: Ray pickles them by value, and workers need not import this module


def hangs_at_width_32():
    """Return a `run_trial` that reports once and ends, but hangs at width 32."""

    def hang_here():
        time.sleep(1000)

    def run_trial(task):
        yield make_report(task.trial_id, attempt=task.attempt)
        if task.config["model"]["width"] == 32:
            hang_here()
        yield TrialEnd(outcome=Outcome.COMPLETED)

    return run_trial


def test_a_hanging_trial_fails_with_its_stack(run):
    space = Space({"model.width": Choice(16, 32, 64), "optimizer.learning_rate": Float(0.1, 0.2)})
    points = [{"model.width": width, "optimizer.learning_rate": 0.1} for width in (16, 32, 64)]
    search, printed = run(space, hangs_at_width_32(), trials=4, report_timeout=2.0, points=points)
    assert len(search.results) == 4
    failed = search.results["0002"]
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == "no report for 2 s; stack.txt shows where it hung"
    assert "hang_here" in failed.traceback
    assert "hang_here" in (search._folder.trial("0002") / "stack.txt").read_text()
    assert failed.attempt == 1, "it would hang again"
    assert search.results["0001"].outcome is Outcome.COMPLETED
    assert search.results["0003"].outcome is Outcome.COMPLETED
    assert not list(search._folder.path.glob("trials/0001/stack.txt"))
    assert "Traceback" not in printed
    assert "0002 failed: no report for 2 s" in printed


def breaks_the_device_at_width_32():
    """Return a `run_trial` that ends at once, with its process id; unusable at width 32."""

    def run_trial(task):
        import os

        yield make_report(task.trial_id, attempt=task.attempt)
        broken = task.config["model"]["width"] == 32
        outcome = Outcome.FAILED if broken else Outcome.COMPLETED
        yield TrialEnd(outcome=outcome, reason=str(os.getpid()), process_usable=not broken)

    return run_trial


def test_a_process_with_a_broken_device_is_not_reused(run):
    space = Space({"model.width": Choice(16, 32), "optimizer.learning_rate": Float(0.1, 0.2)})
    points = [
        {"model.width": width, "optimizer.learning_rate": 0.1 + index / 100}
        for index, width in enumerate((16, 32, 32, 16, 32, 16))
    ]
    search, printed = run(space, breaks_the_device_at_width_32(), trials=6, points=points)
    results = [search.results[f"{number:04d}"] for number in range(1, 7)]
    assert [result.outcome is Outcome.FAILED for result in results] == [
        False, True, True, False, True, False,
    ]  # fmt: skip
    assert all((result.attempt, result.crashes) == (1, 0) for result in results)
    broken = [result.reason for result in results if result.outcome is Outcome.FAILED]
    last_of = {result.reason: result.trial_id for result in sorted(results, key=lambda r: r.ended)}
    assert len(set(broken)) == 3, "a process trained on after its device had failed"
    assert all(search.results[last_of[process]].outcome is Outcome.FAILED for process in broken)
    assert "Traceback" not in printed
    assert "process died" not in printed
    assert not list(search._folder.path.glob("trials/*/stack.txt"))


def without_data_at_width_24():
    """Return a `run_trial` that trains, but has no data set at width 24."""

    def train(task):
        if task.config["model"]["width"] == 24:
            data = {**task.config["data"], "dataset": "folder:/nowhere"}
            task = dataclasses.replace(task, config={**task.config, "data": data})
        yield from run_trial(task)

    return train


def test_a_bad_space_ends_with_bad_trials_and_no_crash(run):
    """Huge learning rates, too few evaluations for a tolerance, and too little memory."""
    base = TrialConfig().with_values(
        {
            "model.normalization": "none",
            "model.ode.normalization": "none",
            "training.epochs": 30,
            "data.validation_fraction": 0.2,  # enough steps to diverge
        }
    )
    space = Space(
        {
            "optimizer.learning_rate": Float(80.0, 100.0),
            "solver.method": Choice(
                {
                    "euler": Space({"solver.steps@euler": Fixed(20)}),
                    "dopri5": Space(
                        {"solver.rtol": Fixed(1e-12), "solver.max_evaluations": Fixed(20)}
                    ),
                }
            ),
            "model.width": Choice(8, 24, 256),
        }
    )
    points = [
        {"optimizer.learning_rate": 100.0, "solver.method": method, "model.width": width}
        for method, width in (("euler", 8), ("dopri5", 8), ("euler", 256), ("euler", 24))
    ]
    search, printed = run(
        space, without_data_at_width_24(), base=base, trials=8, memory=200 * MB, points=points
    )
    assert search.stop_reason is None
    assert len(search.results) == 8
    results = [search.results[f"{number:04d}"] for number in range(1, 5)]
    outcomes = [result.outcome.value for result in results]
    assert outcomes == ["diverged", "diverged", "out_of_memory", "failed"], results
    assert "loss is not finite" in results[0].reason
    assert "20" in results[1].reason, "the limit that was reached"
    assert "allocate" in results[2].reason
    assert results[3].traceback is not None
    # with a learning rate of 80, a trial may learn nothing without diverging
    outcomes = {result.outcome.value for result in search.results.values()}
    assert outcomes - {"completed", "stopped"} == {"diverged", "out_of_memory", "failed"}
    assert all(result.attempt == 1 for result in search.results.values()), "no process crashed"
    assert "Traceback" not in printed
