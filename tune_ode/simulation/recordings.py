"""Recorded learning curves, from a finished run or from a table.

A table is a JSON Lines file with one trial per line:

    {"params": {"model.width": 32, …}, "outcome": "completed", "curve":
        [{"train_seconds": 2.1, "val_accuracy": 0.41, "wall_seconds": 2.9, "epoch": 1}, …]}

`params` is a point of the space. Optional fields: `outcome` defaults to `completed`,
`wall_seconds` to `train_seconds`, `epoch` to the position in the curve, from 1, and the trial's
`epochs` to the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from search_spaces import Choice, Fixed, Float, Int, Space, from_dict, resolve_space
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError, UsageError, first_line
from tune_ode.paths import RunPath, persistent_path
from tune_ode.records import Outcome
from tune_ode.runs.reader import read_ended_trials

Array = npt.NDArray[np.float64]

_REPLAYABLE = (Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
"""Outcomes that depend on the trial's point, not on what happened to the machine."""


@dataclass(frozen=True)
class Point:
    """One report of a recorded trial."""

    epoch: float
    train_seconds: float
    wall_seconds: float
    """Seconds since the start of the trial, with evaluation and checkpoints."""
    val_accuracy: float | None

    def at(self, train_seconds: float) -> Self:
        """Return a point with the same accuracy at another time, at the same pace."""
        factor = train_seconds / self.train_seconds
        return replace(
            self, epoch=self.epoch * factor, train_seconds=train_seconds,
            wall_seconds=self.wall_seconds * factor,
        )  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A recorded trial."""

    params: Mapping[str, Any]
    outcome: Outcome
    epochs: float
    """Configured epochs; the curve of a stopped trial has fewer."""
    curve: Sequence[Point]

    def within(self, budget: float | None, chance: float) -> Iterator[Point]:
        """Yield the curve within a budget; it ends there with the last accuracy before.

        A stopped trial keeps its last accuracy until it would have ended.

        Args:
            budget: train_seconds of a trial; None if unlimited.
            chance: accuracy of a trial that reported none within the budget.
        """
        end = math.inf if budget is None else budget
        last = None
        for point in self.curve:
            if point.train_seconds > end:
                yield (last or replace(point, val_accuracy=chance)).at(end)
                return
            yield (last := point)
        if last is not None and self.outcome is Outcome.STOPPED:
            end = min(end, last.train_seconds * self.epochs / last.epoch)
            if end > last.train_seconds:
                yield last.at(end)


@dataclass(frozen=True)
class Recordings:
    """Recorded trials of one space, with what a simulated search needs to know."""

    name: str
    space: Space
    base: TrialConfig
    chance: float
    """Accuracy of random guessing."""
    trial_seconds: float | None
    """Budget of a trial in train_seconds."""
    trials: Sequence[Recording]

    @classmethod
    def read(cls, source: str, space: str | None = None) -> Self:
        """Read a run or a table.

        Args:
            source: run directory, its URL, or a table's path, which ends in .jsonl.
            space: space of a table, as for `resolve_space`; None for the quick space.

        Raises:
            UsageError: no such run or table, or no trial in it that can be replayed.
        """
        if source.endswith(".jsonl"):
            recordings = cls._from_table(Path(source), space or "quick")
        elif space is None:
            recordings = cls._from_run(persistent_path(source))
        else:
            raise UsageError(f"--space needs a table; {source} is a run, which has its own space")
        if not recordings.space.names:
            raise UsageError(f"{recordings.name} has no searched parameters; nothing to simulate")
        if not recordings.accuracies:
            raise UsageError(
                f"{recordings.name} has no trial with a measured accuracy; record some with: "
                "tune-ode search"
            )
        return recordings

    @classmethod
    def _from_run(cls, run: RunPath) -> Self:
        manifest = records.read_manifest(run)
        trials = [
            Recording(
                spec.params,
                outcome,
                _epochs(spec, reports),
                [Point(r.epoch, r.train_seconds, r.wall_seconds, r.val_accuracy) for r in reports],
            )
            for spec, outcome, reports in read_ended_trials(run)
            if outcome in _REPLAYABLE
        ]
        return cls(
            name=run.name,
            space=from_dict(manifest.space),
            base=TrialConfig.from_dict(manifest.base),
            chance=manifest.chance,
            trial_seconds=manifest.trial_seconds,
            trials=trials,
        )

    @classmethod
    def _from_table(cls, path: Path, space: str) -> Self:
        try:
            rows = records.read_rows(path)
        except FileNotFoundError:
            raise UsageError(f"simulate: no such file: {path}") from None
        except OSError as error:
            raise UsageError(f"simulate: cannot read {path}: {error.strerror}") from None
        trials = []
        for number, row in enumerate(rows, start=1):
            try:
                trials.append(_recording(row))
            except (KeyError, TypeError, ValueError) as error:
                reason = f"lacks {error}" if isinstance(error, KeyError) else first_line(error)
                raise UsageError(f"{path}, trial {number}: {reason}") from None
        seconds = (point.train_seconds for trial in trials for point in trial.curve)
        return cls(
            name=path.stem,
            space=resolve_space(space),
            base=TrialConfig(),
            chance=0.0,
            trial_seconds=max(seconds, default=None),
            trials=trials,
        )

    @property
    def num_stopped(self) -> int:
        """Number of trials that were stopped early, so the rest of their curve is unknown."""
        return sum(trial.outcome is Outcome.STOPPED for trial in self.trials)

    @property
    def accuracies(self) -> list[float]:
        """All measured accuracies."""
        points = (point for trial in self.trials for point in trial.curve)
        return [point.val_accuracy for point in points if point.val_accuracy is not None]


class NearestTrial:
    """Finds the recorded trial nearest to a point by Gower's distance (1971).

    A number contributes its distance as a fraction of its range, on the parameter's scale; a choice
    contributes 0 if equal, else 1; a parameter that only one of the points has contributes 1.
    """

    def __init__(self, space: Space, trials: Sequence[Recording]) -> None:
        self._parameters = {
            name: parameter
            for name, parameter, _ in space.walk()
            if not isinstance(parameter, Fixed)
        }
        self._columns = {
            name: np.array([self._position(name, trial.params) for trial in trials])
            for name in self._parameters
        }

    def index(self, params: Mapping[str, Any]) -> int:
        """Return the index of the nearest trial, the first of equally near ones."""
        distance = np.zeros(len(next(iter(self._columns.values()))))
        for name, column in self._columns.items():
            position = self._position(name, params)
            if math.isnan(position):
                distance += ~np.isnan(column)
            elif isinstance(self._parameters[name], Choice):
                distance += column != position  # also true for NaN
            else:
                distance += np.nan_to_num(np.abs(column - position), nan=1.0)
        return int(distance.argmin())

    def _position(self, name: str, params: Mapping[str, Any]) -> float:
        """Return a number's position in its range, in [0, 1], or an option's index; NaN if none."""
        if name not in params:
            return math.nan
        parameter, value = self._parameters[name], params[name]
        if isinstance(parameter, Choice):
            options = list(parameter.options)
            return float(options.index(value)) if value in options else -1.0
        assert isinstance(parameter, Float | Int)
        scale = math.log if parameter.log else float
        low, high = scale(parameter.low), scale(parameter.high)
        return (scale(value) - low) / (high - low)


def _epochs(spec: records.TrialSpec, reports: Sequence[records.Report]) -> float:
    """Return the epochs after which a trial would have ended."""
    if not reports:
        with suppress(ConfigurationError):
            return float(TrialConfig.from_dict(spec.config).training.epochs)
        return 1.0
    return reports[-1].epoch * reports[-1].horizon / reports[-1].batches


def _recording(row: Mapping[str, Any]) -> Recording:
    outcome = Outcome(row.get("outcome", Outcome.COMPLETED))
    if outcome not in _REPLAYABLE:
        raise ValueError(f"outcome must be one of {', '.join(_REPLAYABLE)}, found {outcome}")
    curve = list(_points(row["curve"]))
    epochs = float(row.get("epochs", curve[-1].epoch if curve else 1))
    return Recording(dict(row["params"]), outcome, epochs, curve)


def _points(curve: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    previous = 0.0
    for number, report in enumerate(curve, start=1):
        seconds, accuracy = float(report["train_seconds"]), report["val_accuracy"]
        if not seconds > previous:
            raise ValueError(f"train_seconds must rise from above 0, found {seconds:g}")
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"val_accuracy must lie in [0, 1], found {accuracy:g}")
        previous = seconds
        yield Point(
            float(report.get("epoch", number)),
            seconds,
            float(report.get("wall_seconds", seconds)),
            accuracy,
        )
