"""Run directories written report by report, for results that can be checked by hand."""

import dataclasses
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.load import Run, load_run
from analysis.ranking import rank
from tests.factories import (
    before_shrinking,
    make_confirmation,
    make_contention,
    make_manifest,
    make_report,
    make_result,
    make_spec,
)
from tune_ode import records
from tune_ode.records import Outcome


class RunWriter:
    """Write a run directory, and change files in it."""

    def __init__(self, folder: Path, *, trial_seconds: float | None = 100.0):
        self.folder = folder
        (folder / records.TRIALS).mkdir(parents=True)
        self.manifest = make_manifest(
            name="by hand", state="finished", options={"command": "search", "dataset": "digits"},
            base={}, trial_seconds=trial_seconds, versions={"torch": "2.15.0"},
            hardware={"cpus": 2},
        )  # fmt: skip
        self.change_manifest()

    def trial(self, trial_id, curve, outcome="completed", *, reason="", params=None, attempt=1):
        """Write a trial whose curve is (seconds, accuracy) pairs, one per epoch."""
        params = {"solver.method": "rk4"} if params is None else params
        reports = [
            self.report(trial_id, epoch, seconds, accuracy, attempt).to_json()
            for epoch, (seconds, accuracy) in enumerate(curve, start=1)
        ]
        return self._trial(
            make_spec(trial_id, config={"seed": 1}, params=params), reports, outcome,
            reason=reason, attempt=attempt,
        )  # fmt: skip

    def _trial(self, spec, reports, outcome, **fields):
        folder = self.folder / records.TRIALS / spec.trial_id
        folder.mkdir()
        _write(folder / records.CONFIG, spec)
        with (folder / records.REPORTS).open("w") as file:
            file.writelines(records.dumps(report) + "\n" for report in reports)
        if outcome is not None:
            result = make_result(spec.trial_id, Outcome(outcome), **fields)
            _write(folder / records.OUTCOME, result)
        return folder

    def report(self, trial_id, epoch, seconds, accuracy, attempt=1):
        return make_report(
            trial_id, epoch, accuracy, seconds=seconds, attempt=attempt, timestamp=seconds,
            warmup_seconds=0.5, eval_seconds=0.1, wall_seconds=2 * seconds + 1,
            concurrent_trials=2,
        )  # fmt: skip

    def append(self, trial_id, epoch, seconds, accuracy, attempt=1, **changes):
        """Append a report to a trial."""
        report = self.report(trial_id, epoch, seconds, accuracy, attempt).to_json() | changes
        with (self.folder / records.TRIALS / trial_id / records.REPORTS).open("a") as file:
            file.write(records.dumps(report) + "\n")

    @staticmethod
    def change(path, **values):
        """Replace values in a JSON file."""
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    def change_manifest(self, **fields):
        self.manifest = dataclasses.replace(self.manifest, **fields)
        _write(self.folder / records.MANIFEST, self.manifest)

    def confirm(self, trainings, *, default="0001", state="finished", asked=0):
        """Write a confirmation: (confirms, curve, options of `confirmation`, or an outcome)."""
        confirm = RunWriter(
            self.folder / records.CONFIRM, trial_seconds=self.manifest.trial_seconds
        )
        confirm.change_manifest(
            state=state,
            options={"command": "confirm", "dataset": "digits", "default": default,
                     "trainings": asked or len(trainings)},
        )  # fmt: skip
        for number, (confirms, curve, scores) in enumerate(trainings, start=1):
            trial_id, completed = f"{number:04d}", isinstance(scores, dict)
            trial = confirm.trial(trial_id, curve, "completed" if completed else scores)
            self.change(trial / records.CONFIG, confirms=confirms)
            if completed:
                _write(trial / records.CONFIRMATION, confirmation(trial_id, **scores))
        return confirm.folder

    def compare(self, trainings, *, dataset="mnist", seeds=1, test_images=10_000):
        """Make the run a comparison of (case, seed, seconds per epoch, test accuracies[, fields]).

        An outcome in place of the accuracies is that of a training that failed.
        """
        options = {"command": "compare", "dataset": dataset, "epochs": 2, "seeds": seeds,
                   "cases": list(dict.fromkeys(case for case, *_ in trainings))}  # fmt: skip
        self.change_manifest(options=options, train_images=3200, test_images=test_images)
        for number, (case, seed, seconds, tests, *fields) in enumerate(trainings, start=1):
            trial_id, failed = f"{number:04d}", isinstance(tests, str)
            reports = [
                self.report(trial_id, epoch, epoch * seconds, test - 0.1).to_json()
                | {"test_accuracy": test, "cpu_seconds": 1e3}
                | (fields[0] if fields else {})
                for epoch, test in enumerate(() if failed else tests, start=1)
            ]
            spec = make_spec(trial_id, config={"seed": seed}, confirms=case)
            self._trial(spec, reports, tests if failed else "completed", reason="too stiff")


def _write(path, record):
    path.write_text(json.dumps(record.to_json()))


def confirmation(trial_id, *, test=0.9, own=0.9, reference=0.9, cold=20.0, cheaper=0.8):
    def solve(method, accuracy, evaluations, **fields):
        cost = None if accuracy is None else evaluations
        return {"method": method, "steps": None, "rtol": None, "own": False, "evaluations": cost,
                "accuracy": accuracy} | fields  # fmt: skip

    return make_confirmation(
        trial_id, test_accuracy=test, cold_seconds=cold,
        solves=[
            solve("rk4", own, 4.0, steps=1, own=True), solve("euler", cheaper, 1.0, steps=1)
        ],
        reference=solve("dopri5", reference, 40.0, rtol=1e-5),
        latencies=[
            {"batch": 1, "repetitions": 50, "median_ms": 2.0, "low_ms": 1.5, "high_ms": 2.5},
            {"batch": 256, "repetitions": 9, "median_ms": 64.0, "low_ms": 60.0, "high_ms": 70.0},
        ],
    )  # fmt: skip


def load_ranked(folder, **options):
    """Return a run and its ranking."""
    run = load_run(folder)
    return run, rank(run, **options)


@pytest.fixture(scope="session")
def run_of_12():
    """The run of tests/data/run-of-12, with trials on two device types, and its ranking."""
    return load_ranked(Path(__file__).parents[1] / "data" / "run-of-12")


@pytest.fixture
def make_run(tmp_path):
    """Return a function that creates a run directory."""
    return lambda name="run", **options: RunWriter(tmp_path / name, **options)


@pytest.fixture
def by_hand(make_run):
    """A run with every outcome, a tie, a missing value, a running trial, a truncated report."""
    run = make_run()
    run.trial("0001", [(1.0, 0.5), (2.0, 0.8), (4.0, 0.9)])
    run.trial("0002", [(1.0, 0.7), (3.0, 0.88)], "stopped", reason="slow")
    run.trial("0003", [(1.0, 0.5), (2.0, 0.8), (4.0, 0.9)])  # ties with 0001
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
def contended(make_run):
    """A run whose trials shared a device.

    Isolated seconds are half of the training seconds for 0001, a quarter for 0003, and known for
    only one report of 0002; their standard errors are an eighth of them.
    """
    run = make_run()
    for trial_id, seconds, concurrent in (
        ("0001", 4.0, (2, 2)), ("0002", 4.5, (2, None)), ("0003", 6.0, (4, 4)),
    ):  # fmt: skip
        folder = run.trial(trial_id, [(seconds / 2, 0.5), (seconds, 0.9)])
        path = folder / records.REPORTS
        reports = [json.loads(line) for line in path.read_text().splitlines()]
        for report, mean in zip(reports, concurrent, strict=True):
            report["mean_concurrent_trials"] = mean
        path.write_text("".join(json.dumps(report) + "\n" for report in reports))
    contention = make_contention(
        concurrency=[1, 2, 4], error=[0.0, 0.25, 0.5], threads=2,
        slowdown=[1.0, before_shrinking(2, 0.25), before_shrinking(4, 0.5)],
    )  # fmt: skip
    run.change_manifest(contention={"cpu": contention.to_json()})
    return run.folder


@pytest.fixture(scope="session")
def run_of():
    """Return a function that makes a run in memory from curves of (seconds, accuracy) by trial."""

    def make(curves, order=None):
        manifest = make_manifest(state="finished", trial_seconds=100.0)
        trials = [
            {"trial_id": trial_id, "outcome": "completed", "reason": "", "params": {}, "config": {}}
            for trial_id in curves
        ]
        if order is not None:
            order.shuffle(trials)
        reports = [
            {"trial": trial, "trial_id": row["trial_id"], "epoch": float(epoch),
             "train_seconds": seconds, "wall_seconds": 2 * seconds, "cpu_seconds": 2 * seconds,
             "isolated_seconds": math.nan, "isolated_error": math.nan,
             "val_accuracy": accuracy, "val_images": math.nan, "device": "cpu",
             "concurrent_trials": 1.0}
            for trial, row in enumerate(trials)
            for epoch, (seconds, accuracy) in enumerate(curves[row["trial_id"]], start=1)
        ]  # fmt: skip
        types = {"trial": int, "trial_id": str, "epoch": float, "train_seconds": float,
                 "wall_seconds": float, "cpu_seconds": float, "isolated_seconds": float,
                 "isolated_error": float, "val_accuracy": float, "val_images": float,
                 "device": str, "concurrent_trials": float}  # fmt: skip
        table = pd.DataFrame(reports, columns=list(types)).astype(types)
        return Run(Path(), manifest, pd.DataFrame(trials), table)

    return make


@pytest.fixture
def no_pictures(monkeypatch):
    """Skip the plots of reports, which take seconds to draw."""
    monkeypatch.setattr("analysis.report.pictures", lambda run, ranking, sections: [])
