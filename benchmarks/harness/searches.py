"""Start the searches of `benchmarks.search_time`, and record what they found and when."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.ablated import INGREDIENTS
from tune_ode.records import REPORTS, TRIALS, read_reports

OPTIONS = [
    "--set", "optimizer.name=sgd|adamw", "--fix", "schedule.name=constant",
    "--fix", "model.normalization=group", "--fix", "model.ode.normalization=group",
    "--fix", "model.stem.kind=conv", "--fix", "model.stem.width=null",
]  # fmt: skip
"""Options that restrict the space `quick` to that of the plain script."""


@dataclass(frozen=True)
class Data:
    """Data set and budget of a search."""

    dataset: str
    train_images: int | None
    targets: tuple[float, ...]
    """Validation accuracies, increasing."""
    seconds: float
    """Budget of each search."""


DATA = {
    "digits": Data("digits", None, (0.9, 0.95, 0.97, 0.98, 0.99), 120.0),
    "mnist": Data("mnist", 3000, (0.8, 0.9, 0.93, 0.95, 0.96), 120.0),
}


@dataclass(frozen=True)
class Measurement:
    """An accuracy and the time of its report."""

    at: float
    """Seconds since the start of the command."""
    trial: str
    train_seconds: float
    accuracy: float


@dataclass(frozen=True)
class SearchRun:
    """The record of a search."""

    variant: str
    dataset: str
    seed: int
    seconds: float
    """From the start of the command to its end."""
    measurements: list[Measurement]
    retrain: dict[str, Any]
    """Trial → what to retrain, for the first trials at each target."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SearchRun:
        """Return the record from its plain values."""
        measurements = [Measurement(**one) for one in values.pop("measurements")]
        return cls(measurements=measurements, **values)

    def known_by(self, seconds: float) -> list[Measurement]:
        """Return the measurements up to a time after the start."""
        return [found for found in self.measurements if found.at <= seconds]

    def trials_by(self, seconds: float) -> int:
        """Return the number of trials that had reported by this time."""
        return len({one.trial for one in self.known_by(seconds)})

    def best_by(self, seconds: float) -> float:
        """Return the best accuracy known by this time."""
        return max((one.accuracy for one in self.known_by(seconds)), default=0.0)

    def first_at(self, target: float) -> Measurement | None:
        """Return the first measurement at or above a target."""
        return next((one for one in self.measurements if one.accuracy >= target), None)


def search_with_plain_script(
    data: Data, seed: int, folder: Path, data_dir: str | None
) -> SearchRun:
    """Run the plain script."""
    command = [
        sys.executable, "-m", "benchmarks.harness.plain_ray", "--dataset", data.dataset,
        "--seconds", str(data.seconds), "--seed", str(seed), "--output", str(folder),
        *([] if data_dir is None else ["--data-dir", data_dir]),
        *([] if data.train_images is None else ["--train-images", str(data.train_images)]),
    ]  # fmt: skip
    started, took = _run(command, folder.with_suffix(".log"), data.seconds)
    measurements, configs = [], {}
    for file in folder.glob("plain/*/result.json"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            at = row["unix_seconds"] - started
            measurements.append(
                Measurement(at, row["trial_id"], row["train_seconds"], row["accuracy"])
            )
        if rows:
            fixed = ("dataset", "data_dir", "seed", "train", "validation")
            configs[rows[0]["trial_id"]] = {
                name: value for name, value in rows[0]["config"].items() if name not in fixed
            }
    return _record("plain", data, seed, took, measurements, configs)


def search_with_tune_ode(
    data: Data,
    seed: int,
    folder: Path,
    data_dir: str | None,
    without: str | None = None,
) -> SearchRun:
    """Run this package's search, optionally without an ingredient of `harness.ablated`."""
    program = ["-c", "import sys; from tune_ode.cli.main import main; sys.exit(main())"]
    if without is not None:
        program = ["-m", "benchmarks.harness.ablated", without]
    command = [
        sys.executable, *program,
        "search", "--dataset", data.dataset, "--time-budget", f"{data.seconds:g}s",
        "--seed", str(seed), "--name", folder.name, "--output", str(folder.parent), *OPTIONS,
        *([] if without is None else ["--no-calibrate"]),
        *([] if data_dir is None else ["--data-dir", data_dir]),
        *([] if data.train_images is None else ["--train-images", str(data.train_images)]),
    ]  # fmt: skip
    started, took = _run(command, folder.with_suffix(".log"), data.seconds)
    measurements = [
        Measurement(
            report.timestamp - started, report.trial_id, report.train_seconds, report.val_accuracy
        )
        for trial in (folder / TRIALS).iterdir()
        for report in read_reports(trial / REPORTS)
        if report.val_accuracy is not None
    ]
    configs = {one.trial: f"{folder}:{one.trial}" for one in measurements}
    variant = "tune-ode" if without is None else f"without {without}"
    return _record(variant, data, seed, took, measurements, configs)


Run = Callable[[Data, int, Path, str | None], SearchRun]
SEARCHES: dict[str, Run] = {"plain": search_with_plain_script, "tune-ode": search_with_tune_ode}
ABLATED: dict[str, Run] = {
    "tune-ode": search_with_tune_ode,
    **{f"without {one}": partial(search_with_tune_ode, without=one) for one in INGREDIENTS},
}


def retrained_accuracies(
    searched: SearchRun, data: Data, trial: str, seed: int, data_dir: str | None, scratch: Path
) -> Iterator[float]:
    """Retrain a trial on a fresh seed with the code of its search; yield its accuracies."""
    config = searched.retrain[trial]
    options = ["--seed", str(seed), *([] if data_dir is None else ["--data-dir", data_dir])]
    log = scratch.with_suffix(".log")
    if searched.variant == "plain":
        command = [
            sys.executable, "-m", "benchmarks.harness.plain_ray", "--retrain", json.dumps(config),
            "--dataset", data.dataset, *options,
            *([] if data.train_images is None else ["--train-images", str(data.train_images)]),
        ]  # fmt: skip
        _run(command, log, math.inf)
        for line in log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)["accuracy"]
        return
    command = [
        sys.executable, "-c", "import sys; from tune_ode.cli.main import main; sys.exit(main())",
        "train", config, "--cpus-per-trial", "1", "--name", scratch.name,
        "--output", str(scratch.parent), *options,
    ]  # fmt: skip
    shutil.rmtree(scratch, ignore_errors=True)
    _run(command, log, math.inf)
    for report in read_reports(scratch / TRIALS / "0001" / REPORTS):
        if report.val_accuracy is not None:
            yield report.val_accuracy


def _record(
    variant: str,
    data: Data,
    seed: int,
    took: float,
    measurements: list[Measurement],
    configs: dict[str, Any],
) -> SearchRun:
    measurements = sorted(measurements, key=lambda one: one.at)
    found = SearchRun(variant, data.dataset, seed, took, measurements, configs)
    firsts = {one.trial for target in data.targets if (one := found.first_at(target)) is not None}
    return replace(found, retrain={trial: configs[trial] for trial in sorted(firsts)})


def _run(command: list[str], log: Path, seconds: float) -> tuple[float, float]:
    """Run a command; return its start in Unix seconds, and its duration."""
    started, clock = time.time(), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with log.open("wb") as file:
        ended = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment,
            timeout=None if math.isinf(seconds) else 3 * seconds + 300, check=False,
        )  # fmt: skip
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed; see {log}")
    return started, time.perf_counter() - clock
