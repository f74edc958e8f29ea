"""Run folders written line by line, for rankings that can be worked out by hand."""

import dataclasses
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.load import Run
from tune_ode import records
from tune_ode.records import (
    Confirmation,
    Contention,
    Outcome,
    Report,
    RunManifest,
    TrialResult,
    TrialSpec,
)


class RunWriter:
    def __init__(self, folder: Path, *, trial_seconds: float | None = 100.0):
        self.folder = folder
        (folder / records.TRIALS).mkdir(parents=True)
        self.manifest = RunManifest(
            name="by hand", state="finished", options={"command": "search", "dataset": "digits"},
            space={}, base={}, chance=0.1, trial_seconds=trial_seconds, created=0.0,
            versions={"torch": "2.15.0"}, hardware={"cpus": 2},
        )  # fmt: skip
        self._write(folder / records.MANIFEST, self.manifest)

    def trial(self, trial_id, curve, outcome="completed", *, reason="", params=None, attempt=1):
        """Write a trial whose curve is (seconds, accuracy) pairs, one an epoch."""
        folder = self.folder / records.TRIALS / trial_id
        folder.mkdir()
        params = {"solver.method": "rk4"} if params is None else params
        self._write(
            folder / records.CONFIG,
            TrialSpec(trial_id=trial_id, config={"seed": 1}, params=params, created=0.0),
        )
        with (folder / records.REPORTS).open("w") as file:
            for epoch, (seconds, accuracy) in enumerate(curve, start=1):
                line = self.line(trial_id, epoch, seconds, accuracy, attempt)
                file.write(records.dumps(line.to_json()) + "\n")
        if outcome is not None:
            self._write(
                folder / records.OUTCOME,
                TrialResult(
                    trial_id=trial_id, attempt=attempt, outcome=Outcome(outcome), reason=reason,
                    started=0.0, ended=1.0,
                ),
            )  # fmt: skip
        return folder

    def line(self, trial_id, epoch, seconds, accuracy, attempt=1):
        return Report(
            trial_id=trial_id, attempt=attempt, timestamp=seconds, epoch=float(epoch),
            train_seconds=seconds, warmup_seconds=0.5, epoch_seconds=1.0, eval_seconds=0.1,
            wall_seconds=2 * seconds + 1, cpu_seconds=seconds, train_loss=1.0,
            train_accuracy=accuracy, val_loss=1.0, val_accuracy=accuracy, nfe_forward=4.0,
            nfe_backward=0.0, vjp_backward=4.0, solver_steps=1.0, rejected_steps=0.0,
            learning_rate=0.1, samples_per_second=100.0, peak_memory_bytes=None, device="cpu",
            node="here", concurrent_trials=2,
        )  # fmt: skip

    def set_state(self, state):
        self.manifest = dataclasses.replace(self.manifest, state=state)
        self._write(self.folder / records.MANIFEST, self.manifest)

    def confirm(self, trainings, *, default="0001", state="finished", asked=0):
        """Write a confirmation: (confirms, curve, options of `confirmation`, or an outcome)."""
        folder = self.folder / records.CONFIRM
        again = RunWriter(folder, trial_seconds=self.manifest.trial_seconds)
        question = {"command": "confirm", "dataset": "digits", "default": default,
                    "trainings": asked or len(trainings)}  # fmt: skip
        manifest = dataclasses.replace(again.manifest, options=question, state=state)
        self._write(folder / records.MANIFEST, manifest)
        for number, (confirms, curve, found) in enumerate(trainings, start=1):
            outcome = "completed" if isinstance(found, dict) else found
            trial = again.trial(f"{number:04d}", curve, outcome)
            setup = json.loads((trial / records.CONFIG).read_text()) | {"confirms": confirms}
            (trial / records.CONFIG).write_text(json.dumps(setup))
            if isinstance(found, dict):
                self._write(trial / records.CONFIRMATION, confirmation(f"{number:04d}", **found))
        return folder

    def compare(self, trainings, *, dataset="mnist", seeds=1, test_images=10_000):
        """Make it a comparison: (case, seed, seconds an epoch, test accuracies, more of its lines).

        An outcome in place of the accuracies is that of a training which broke down.
        """
        cases = list(dict.fromkeys(case for case, *_ in trainings))
        question = {"command": "compare", "dataset": dataset, "epochs": 2, "cases": cases,
                    "seeds": seeds}  # fmt: skip
        manifest = dataclasses.replace(
            self.manifest, options=question, train_images=3200, test_images=test_images
        )
        self._write(self.folder / records.MANIFEST, manifest)
        for number, (case, seed, seconds, tests, *more) in enumerate(trainings, start=1):
            trial_id, broken = f"{number:04d}", isinstance(tests, str)
            trial = self.trial(trial_id, [], tests if broken else "completed", reason="too stiff")
            setup = json.loads((trial / records.CONFIG).read_text())
            setup |= {"confirms": case, "config": {"seed": seed}}
            (trial / records.CONFIG).write_text(json.dumps(setup))
            with (trial / records.REPORTS).open("w") as file:
                for epoch, test in enumerate(() if broken else tests, start=1):
                    line = self.line(trial_id, epoch, epoch * seconds, test - 0.1)
                    fields = {"test_accuracy": test, "cpu_seconds": 1e3} | (more[0] if more else {})
                    file.write(records.dumps(line.to_json() | fields) + "\n")

    def _write(self, path, record):
        path.write_text(json.dumps(record.to_json()))


def confirmation(trial_id, *, test=0.9, own=0.9, tight=0.9, cold=20.0, cheaper=0.8):
    def solve(method, accuracy, evaluations, **more):
        solver = {"steps": None, "rtol": None, "own": False} | more
        cost = None if accuracy is None else evaluations
        return {"method": method, "evaluations": cost, "accuracy": accuracy} | solver

    return Confirmation(
        trial_id=trial_id, test_accuracy=test, test_loss=0.1, test_images=100, solve_images=100,
        solves=[
            solve("rk4", own, 4.0, steps=1, own=True), solve("euler", cheaper, 1.0, steps=1)
        ],
        reference=solve("dopri5", tight, 40.0, rtol=1e-5),
        latencies=[
            {"batch": 1, "repetitions": 50, "median_ms": 2.0, "low_ms": 1.5, "high_ms": 2.5},
            {"batch": 256, "repetitions": 9, "median_ms": 64.0, "low_ms": 60.0, "high_ms": 70.0},
        ],
        threads=1, cold_seconds=cold,
    )  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    """Return a function that starts a run folder."""
    return lambda name="run", **options: RunWriter(tmp_path / name, **options)


@pytest.fixture
def by_hand(make_run):
    """A run with every outcome, a tie, a missing value, a running trial, a line cut off."""
    run = make_run()
    run.trial("0001", [(1.0, 0.5), (2.0, 0.8), (4.0, 0.9)])
    run.trial("0002", [(1.0, 0.7), (3.0, 0.88)], "stopped", reason="slow")
    run.trial("0003", [(2.0, 0.8), (4.0, 0.9)])  # ties with 0001
    run.trial("0004", [(1.0, 0.3)], "stopped", reason="slow")  # below the floor
    run.trial("0005", [], "diverged", reason="the loss is not finite")
    run.trial("0006", [(1.0, None)], "failed", reason="ValueError: <b>so</b>")  # never measured
    run.trial("0007", [], "out_of_memory", reason="8 GiB")
    run.trial("0008", [(1.0, 0.2), (8.0, 0.92)], "interrupted", reason="interrupted")
    running = run.trial("0009", [(1.0, 0.6)], None)
    with (running / records.REPORTS).open("a") as file:
        file.write('{"trial_id": "0009", "attempt": 1, "epo')
    (run.folder / records.TRIALS / "0010").mkdir()  # killed before its configuration was written
    return run.folder


@pytest.fixture
def priced(make_run):
    """A run whose trials shared a device: isolated seconds are half of the training's for 0001, a
    quarter for 0003, and known for one line alone of 0002; their errors are an eighth of them."""
    run = make_run()
    for trial_id, seconds, company in (
        ("0001", 4.0, (2, 2)), ("0002", 4.5, (2, None)), ("0003", 6.0, (4, 4)),
    ):  # fmt: skip
        folder = run.trial(trial_id, [(seconds / 2, 0.5), (seconds, 0.9)])
        reports = folder / records.REPORTS
        lines = [json.loads(line) for line in reports.read_text().splitlines()]
        for line, beside in zip(lines, company, strict=True):
            line["mean_concurrent_trials"] = beside
        reports.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = json.loads((run.folder / records.MANIFEST).read_text())
    price = Contention(
        column="train_seconds", concurrency=[1, 2, 4], slowdown=[1.0, 2.0, 4.0],
        error=[0.0, 0.25, 0.5], step_seconds=0.1, repetitions=5, threads=2, node="here",
    )  # fmt: skip
    manifest["contention"] = {"cpu": price.to_json()}
    (run.folder / records.MANIFEST).write_text(json.dumps(manifest))
    return run.folder


@pytest.fixture(scope="session")
def run_of():
    """Return a function that makes a run in memory from curves of (seconds, accuracy) by trial."""

    def make(curves, order=None):
        manifest = RunManifest(
            name="in memory", state="finished", options={}, space={}, base={}, chance=0.1,
            trial_seconds=100.0, created=0.0,
        )  # fmt: skip
        trials = [
            {"trial_id": trial_id, "outcome": "completed", "reason": "", "params": {}, "config": {}}
            for trial_id in curves
        ]
        if order is not None:
            order.shuffle(trials)
        lines = [
            {"trial": trial, "trial_id": row["trial_id"], "epoch": float(epoch),
             "train_seconds": seconds, "wall_seconds": 2 * seconds, "cpu_seconds": 2 * seconds,
             "isolated_seconds": math.nan, "isolated_error": math.nan,
             "val_accuracy": accuracy, "device": "cpu", "concurrent_trials": 1.0}
            for trial, row in enumerate(trials)
            for epoch, (seconds, accuracy) in enumerate(curves[row["trial_id"]], start=1)
        ]  # fmt: skip
        types = {"trial": int, "trial_id": str, "epoch": float, "train_seconds": float,
                 "wall_seconds": float, "cpu_seconds": float, "isolated_seconds": float,
                 "isolated_error": float, "val_accuracy": float,
                 "device": str, "concurrent_trials": float}  # fmt: skip
        table = pd.DataFrame(lines, columns=list(types)).astype(types)
        return Run(Path(), manifest, pd.DataFrame(trials), table)

    return make
