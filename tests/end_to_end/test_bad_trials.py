"""Trials that go wrong on a real Ray: one outcome each, and the search goes on."""

import dataclasses
import io
import time
from collections import Counter

import pytest
from rich.console import Console

from search_spaces import Choice, Fixed, Float, Space, to_dict
from tune_ode.cli.display.search import SearchDisplay
from tune_ode.config import TrialConfig
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome, Report, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import TrialEnd, run_trial

MB = 10**6


@pytest.fixture
def run(tmp_path, capfd):
    """Return a function that runs a search on Ray and returns it, with all that was printed."""

    def run(space, answer, *, trials, base=None, memory=None, silence=None, points=()):
        from tune_ode.tuning.ray_backend.engine import run_on_ray

        base = base or TrialConfig()
        manifest = RunManifest(
            name="run", state="running", options={}, space=to_dict(space), base=base.to_dict(),
            chance=0.1, trial_seconds=5.0, created=0.0,
        )  # fmt: skip
        folder = RunFolder.create(tmp_path / "run", manifest)
        search = Search(
            folder,
            StudyAdapter(space, journal=folder.study_path),
            base,
            Budget(trials=trials, seconds=None, trial_seconds=5.0, report_timeout=silence),
            WorkerSpec(data_dir=None, device="cpu", threads=1, memory_bytes=memory),
            start_points=points,
        )
        screen = io.StringIO()
        with SearchDisplay(search, Console(file=screen)) as display:
            run_on_ray(
                search,
                plan_resources(local_machine(cpus=2, gpus=0)),
                answer=answer,
                tick=display.tick,
            )
        search.close()
        folder.close()
        return search, screen.getvalue() + "".join(capfd.readouterr())

    return run


def instant_but_one():
    """Return what answers at once, except that each trial of width 32 hangs."""

    def hang_here():
        time.sleep(1000)

    def answer(task):
        yield Report(
            trial_id=task.trial_id, attempt=task.attempt, timestamp=0.0, epoch=1.0,
            train_seconds=0.1, warmup_seconds=0.0, epoch_seconds=0.1, eval_seconds=0.0,
            wall_seconds=0.1, cpu_seconds=0.1, train_loss=1.0, train_accuracy=0.5, val_loss=1.0,
            val_accuracy=0.5, nfe_forward=1.0, nfe_backward=0.0, vjp_backward=1.0,
            solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1, samples_per_second=1.0,
            peak_memory_bytes=None, device="cpu", node="here", concurrent_trials=1,
        )  # fmt: skip
        if task.config["model"]["width"] == 32:
            hang_here()
        yield TrialEnd(outcome=Outcome.COMPLETED)

    return answer


@pytest.mark.long
def test_a_stuck_trial_fails_with_its_stack_and_the_search_goes_on(run):
    space = Space({"model.width": Choice(16, 32, 64), "optimizer.learning_rate": Float(0.1, 0.2)})
    points = [{"model.width": width, "optimizer.learning_rate": 0.1} for width in (16, 32, 64)]
    search, printed = run(space, instant_but_one(), trials=4, silence=2.0, points=points)
    outcomes = list(search.results.values())
    assert len(outcomes) == 4
    stuck = search.results["0002"]
    assert stuck.outcome is Outcome.FAILED
    assert stuck.reason == "no report for 2 s; stack.txt shows where it hung"
    assert "hang_here" in stuck.traceback
    assert "hang_here" in (search._folder.trial("0002") / "stack.txt").read_text()
    assert stuck.attempt == 1, "it would hang again"
    assert search.results["0001"].outcome is Outcome.COMPLETED
    assert search.results["0003"].outcome is Outcome.COMPLETED
    assert not list(search._folder.path.glob("trials/0001/stack.txt"))
    assert "Traceback" not in printed
    assert "0002 failed: no report for 2 s" in printed


def real_but_one():
    """Return what trains really, except that data are missing where the width is 24."""

    def without_data(task):
        if task.config["model"]["width"] == 24:
            data = {**task.config["data"], "dataset": "folder:/nowhere"}
            task = dataclasses.replace(task, config={**task.config, "data": data})
        yield from run_trial(task)

    return without_data


@pytest.mark.long
def test_a_bad_space_ends_with_bad_trials_and_no_crash(run):
    """Huge learning rates, three steps for a tolerance of 1e-12, widths beyond the memory."""
    base = TrialConfig().with_values(
        {
            "model.normalization": "none",
            "model.ode.normalization": "none",
            "training.epochs": 30,
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
        space, real_but_one(), trials=8, base=base, memory=200 * MB, points=points
    )
    assert search.stop_reason is None
    assert len(search.results) == 8
    outcomes = [search.results[f"{number:04d}"] for number in range(1, 5)]
    said = [(o.outcome, o.reason) for o in outcomes]
    assert [str(o.outcome) for o in outcomes] == [
        "diverged",
        "diverged",
        "out_of_memory",
        "failed",
    ], said
    assert "loss is not finite" in outcomes[0].reason
    assert "20" in outcomes[1].reason, "the bound that was met"
    assert "allocate" in outcomes[2].reason
    assert outcomes[3].traceback is not None
    kinds = Counter(str(outcome.outcome) for outcome in search.results.values())
    # a rate of 80 now and then learns nothing without diverging
    assert kinds.keys() - {"completed", "stopped"} == {"diverged", "out_of_memory", "failed"}
    assert all(outcome.attempt == 1 for outcome in search.results.values()), "no process died"
    assert "Traceback" not in printed
