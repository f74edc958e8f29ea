"""Both searches of `benchmarks.search_time`: how each is started, and what it learned when."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ablated import INGREDIENTS
from tune_ode.records import REPORTS, TRIALS, read_reports

OPTIONS = [
    "--set", "optimizer.name=sgd|adamw", "--fix", "schedule.name=constant",
    "--fix", "model.normalization=group", "--fix", "model.ode.normalization=group",
]  # fmt: skip
"""Of our search: they make of the space `quick` what the plain script searches."""


@dataclass(frozen=True)
class Data:
    """What is searched on."""

    dataset: str
    train_images: int | None
    targets: tuple[float, ...]
    """Validation accuracies, rising."""
    seconds: float
    """That each search has."""


DATA = {
    "digits": Data("digits", None, (0.9, 0.95, 0.97, 0.98, 0.99), 120.0),
    "mnist": Data("mnist", 3000, (0.8, 0.9, 0.93, 0.95, 0.96), 120.0),
}


@dataclass(frozen=True)
class Learned:
    """An accuracy, and when it was known."""

    at: float
    """Seconds since the command was started."""
    trial: str
    train_seconds: float
    accuracy: float


@dataclass(frozen=True)
class Searched:
    """One search, whole."""

    who: str
    dataset: str
    seed: int
    seconds: float
    """From the command's start to its end."""
    learned: list[Learned]
    again: dict[str, Any]
    """Trial → how to train it again, for the first trials at each target."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Searched:
        """Return what `to_json` gave."""
        learned = [Learned(**one) for one in values.pop("learned")]
        return cls(learned=learned, **values)

    def known_by(self, seconds: float) -> list[Learned]:
        """Return what was known that long after the start."""
        return [one for one in self.learned if one.at <= seconds]

    def trials_by(self, seconds: float) -> int:
        """Return how many trials had reported by then."""
        return len({one.trial for one in self.known_by(seconds)})

    def best_by(self, seconds: float) -> float:
        """Return the best accuracy that was known by then."""
        return max((one.accuracy for one in self.known_by(seconds)), default=0.0)

    def first_at(self, target: float) -> Learned | None:
        """Return the report that first reached a target."""
        return next((one for one in self.learned if one.accuracy >= target), None)


def search_plainly(data: Data, seed: int, folder: Path, data_dir: str | None) -> Searched:
    """Run the plain script."""
    command = [
        sys.executable, "-m", "benchmarks.plain_ray", "--dataset", data.dataset,
        "--seconds", str(data.seconds), "--seed", str(seed), "--output", str(folder),
        *([] if data_dir is None else ["--data-dir", data_dir]),
        *([] if data.train_images is None else ["--train-images", str(data.train_images)]),
    ]  # fmt: skip
    started, took = _run(command, folder.with_suffix(".log"), data.seconds)
    learned, configs = [], {}
    for file in folder.glob("plain/*/result.json"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            at = row["unix_seconds"] - started
            learned.append(Learned(at, row["trial_id"], row["train_seconds"], row["accuracy"]))
        if rows:
            fixed = ("dataset", "data_dir", "seed", "train", "validation")
            configs[rows[0]["trial_id"]] = {
                name: value for name, value in rows[0]["config"].items() if name not in fixed
            }
    return _searched("plain", data, seed, took, learned, configs)


def search_with_tune_ode(
    data: Data,
    seed: int,
    folder: Path,
    data_dir: str | None,
    without: str | None = None,
) -> Searched:
    """Run this package's search, whole or without one of `benchmarks.ablated`'s ingredients."""
    program = ["-c", "import sys; from tune_ode.cli.main import main; sys.exit(main())"]
    command = [
        sys.executable, *(program if without is None else ["-m", "benchmarks.ablated", without]),
        "search", "--dataset", data.dataset, "--time-budget", f"{data.seconds:g}s",
        "--seed", str(seed), "--name", folder.name, "--output", str(folder.parent), *OPTIONS,
        *([] if without is None else ["--no-calibrate"]),
        *([] if data_dir is None else ["--data-dir", data_dir]),
        *([] if data.train_images is None else ["--train-images", str(data.train_images)]),
    ]  # fmt: skip
    started, took = _run(command, folder.with_suffix(".log"), data.seconds)
    learned = [
        Learned(line.timestamp - started, line.trial_id, line.train_seconds, line.val_accuracy)
        for trial in (folder / TRIALS).iterdir()
        for line in read_reports(trial / REPORTS)
        if line.val_accuracy is not None
    ]
    configs = {one.trial: f"{folder}:{one.trial}" for one in learned}
    who = "tune-ode" if without is None else f"without {without}"
    return _searched(who, data, seed, took, learned, configs)


Run = Callable[[Data, int, Path, str | None], Searched]
SEARCHES: dict[str, Run] = {"plain": search_plainly, "tune-ode": search_with_tune_ode}
ABLATED: dict[str, Run] = {
    "tune-ode": search_with_tune_ode,
    **{f"without {one}": partial(search_with_tune_ode, without=one) for one in INGREDIENTS},
}


def accuracies_again(
    searched: Searched, data: Data, trial: str, seed: int, data_dir: str | None, scratch: Path
) -> Iterator[float]:
    """Train a trial once more on a fresh seed, by what trained it; yield its accuracies."""
    again = searched.again[trial]
    options = ["--seed", str(seed), *([] if data_dir is None else ["--data-dir", data_dir])]
    log = scratch.with_suffix(".log")
    if searched.who == "plain":
        command = [
            sys.executable, "-m", "benchmarks.plain_ray", "--again", json.dumps(again),
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
        "train", again, "--cpus-per-trial", "1", "--name", scratch.name,
        "--output", str(scratch.parent), *options,
    ]  # fmt: skip
    shutil.rmtree(scratch, ignore_errors=True)
    _run(command, log, math.inf)
    for line in read_reports(scratch / TRIALS / "0001" / REPORTS):
        if line.val_accuracy is not None:
            yield line.val_accuracy


def _searched(
    who: str,
    data: Data,
    seed: int,
    took: float,
    learned: list[Learned],
    configs: dict[str, Any],
) -> Searched:
    learned = sorted(learned, key=lambda one: one.at)
    found = Searched(who, data.dataset, seed, took, learned, configs)
    firsts = {one.trial for target in data.targets if (one := found.first_at(target)) is not None}
    again = {trial: configs[trial] for trial in sorted(firsts)}
    return Searched(who, data.dataset, seed, took, learned, again)


def _run(command: list[str], log: Path, seconds: float) -> tuple[float, float]:
    """Run a command to its end; return when it began, in Unix seconds, and what it took."""
    started, clock = time.time(), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with log.open("wb") as file:
        ended = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment,
            timeout=None if math.isinf(seconds) else 3 * seconds + 300, check=False,
        )  # fmt: skip
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed; see {log}")
    return started, time.perf_counter() - clock
