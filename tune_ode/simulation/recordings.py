"""Recorded learning curves: of a finished run, or of a table.

A table is a file of JSON lines, one trial each:

    {"params": {"model.width": 32, …}, "outcome": "completed", "curve":
        [{"train_seconds": 2.1, "val_accuracy": 0.41, "wall_seconds": 2.9, "epoch": 1}, …]}

`params` holds a point of the space by parameter name. Where they are left out, `outcome` is
`completed`, `wall_seconds` the same as `train_seconds`, `epoch` the report's place in the curve,
and `epochs`, beside `curve`, the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from search_spaces import Choice, Fixed, Float, Int, Space, resolve_space
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError, first_line
from tune_ode.paths import RunPath, persistent_path
from tune_ode.records import Outcome
from tune_ode.runs.reader import manifest_of, trials_of

Array = npt.NDArray[np.float64]

_TOLD = (Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
"""Endings that say something of the trial's point, and not of the machine on that day."""


@dataclass(frozen=True)
class Point:
    """One report of a recorded trial."""

    epoch: float
    train_seconds: float
    wall_seconds: float
    """Since the trial's start, with everything counted."""
    val_accuracy: float | None


@dataclass(frozen=True)
class Recording:
    """One trial."""

    params: Mapping[str, Any]
    outcome: Outcome
    epochs: float
    """It was to train; a trial that ended before has fewer in its curve."""
    curve: Sequence[Point]

    def to_the_end(self, budget: float | None) -> Iterator[Point]:
        """Yield the curve; of one that was cut off, what it had stays until its end.

        Args:
            budget: train_seconds at which it ends at the latest.
        """
        yield from self.curve
        if self.outcome is not Outcome.STOPPED or not self.curve:
            return
        last = self.curve[-1]
        longer = self.epochs / last.epoch
        if budget is not None:
            longer = min(longer, budget / last.train_seconds)
        if longer > 1:
            yield Point(
                last.epoch * longer,
                last.train_seconds * longer,
                last.wall_seconds * longer,
                last.val_accuracy,
            )


@dataclass(frozen=True)
class Recordings:
    """Trials of one space, and what a search over it needs to know beside them."""

    name: str
    space: Space
    base: TrialConfig
    chance: float
    trial_seconds: float | None
    trials: Sequence[Recording]

    @classmethod
    def read(cls, source: str, space: str | None = None) -> Self:
        """Read a run folder, its URL, or a table.

        Args:
            source: the place.
            space: of a table, by name, file or module.

        Raises:
            QuestionError: nothing there that could be replayed.
        """
        if source.endswith(".jsonl"):
            return cls._from_table(Path(source), space or "quick")
        if space is not None:
            raise UsageError(f"--space goes with a table; {source} is a run and has its own")
        return cls._from_run(persistent_path(source))

    @classmethod
    def _from_run(cls, run: RunPath) -> Self:
        manifest = manifest_of(run)
        trials = [
            Recording(
                setup.params,
                outcome,
                setup.config["training"]["epochs"],
                [
                    Point(line.epoch, line.train_seconds, line.wall_seconds, line.val_accuracy)
                    for line in lines
                ],
            )
            for setup, outcome, lines in trials_of(run)
            if outcome in _TOLD
        ]
        return cls._checked(
            run.name,
            Space.from_dict(manifest.space),
            TrialConfig.from_dict(manifest.base),
            manifest.chance,
            manifest.trial_seconds,
            trials,
        )

    @classmethod
    def _from_table(cls, path: Path, space: str) -> Self:
        if not path.exists():
            raise UsageError(f"simulate: there is no {path}")
        trials = []
        for number, row in enumerate(records.read_rows(path), start=1):
            try:
                trials.append(_recording(row))
            except (KeyError, TypeError, ValueError) as error:
                wrong = f"lacks {error}" if isinstance(error, KeyError) else first_line(error)
                raise UsageError(f"{path}, trial {number}: {wrong}") from None
        longest = max(
            (point.train_seconds for trial in trials for point in trial.curve), default=None
        )
        return cls._checked(path.stem, resolve_space(space), TrialConfig(), 0.0, longest, trials)

    @classmethod
    def _checked(
        cls,
        name: str,
        space: Space,
        base: TrialConfig,
        chance: float,
        trial_seconds: float | None,
        trials: list[Recording],
    ) -> Self:
        if not space.names:
            raise UsageError(f"{name} searched nothing: there is nothing to simulate")
        if not any(point.val_accuracy is not None for trial in trials for point in trial.curve):
            raise UsageError(
                f"{name} has no trial with a measured accuracy; record some with: tune-ode search"
            )
        return cls(name, space, base, chance, trial_seconds, trials)

    @property
    def cut_off(self) -> int:
        """How many curves were stopped early, so that what came after is not known."""
        return sum(trial.outcome is Outcome.STOPPED for trial in self.trials)

    @property
    def best(self) -> float:
        """The best accuracy of all."""
        return max(
            point.val_accuracy
            for trial in self.trials
            for point in trial.curve
            if point.val_accuracy is not None
        )


class Nearest:
    """Finds the recorded trial nearest to a point, by Gower's distance (1971).

    A number counts by its distance as a share of its range, on the parameter's own scale; a choice
    by whether it is the same; a parameter that only one of the two points has counts as different.
    """

    def __init__(self, space: Space, trials: Sequence[Recording]) -> None:
        self._parameters = {
            name: parameter
            for name, parameter, _ in space.walk()
            if not isinstance(parameter, Fixed)
        }
        self._columns = {
            name: np.array([self._place(name, trial.params) for trial in trials])
            for name in self._parameters
        }

    def index(self, params: Mapping[str, Any]) -> int:
        """Return the number of the nearest trial, the first of equally near ones."""
        distance = np.zeros(len(next(iter(self._columns.values()))))
        for name, column in self._columns.items():
            place = self._place(name, params)
            if math.isnan(place):
                distance += ~np.isnan(column)
            elif isinstance(self._parameters[name], Choice):
                distance += column != place  # of one that is not there, too
            else:
                distance += np.nan_to_num(np.abs(column - place), nan=1.0)
        return int(distance.argmin())

    def _place(self, name: str, params: Mapping[str, Any]) -> float:
        """Return where a value lies: in [0, 1] of a range, an option's number; NaN if not there."""
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


def _recording(row: Mapping[str, Any]) -> Recording:
    outcome = Outcome(row.get("outcome", Outcome.COMPLETED))
    if outcome not in _TOLD:
        raise ValueError(f"an outcome is one of {', '.join(_TOLD)}, found {outcome}")
    curve = list(_points(row["curve"]))
    epochs = float(row.get("epochs", curve[-1].epoch if curve else 1))
    return Recording(dict(row["params"]), outcome, epochs, curve)


def _points(curve: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    before = 0.0
    for place, report in enumerate(curve, start=1):
        seconds, accuracy = float(report["train_seconds"]), report["val_accuracy"]
        if not seconds > before:
            raise ValueError(f"train_seconds must rise from above 0, found {seconds:g}")
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"val_accuracy must lie in [0, 1], found {accuracy:g}")
        before = seconds
        yield Point(
            float(report.get("epoch", place)),
            seconds,
            float(report.get("wall_seconds", seconds)),
            accuracy,
        )
