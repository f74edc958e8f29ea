"""Schedules: what the learning rate is multiplied by at each moment of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tune_ode.config.optimization import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plateau,
    ScheduleConfig,
    Step,
)

WARMUP_START = 0.01
"""Multiplier at which a warm-up starts: at 0 the first batch would be computed for nothing."""


def _constant(config: Constant, progress: float) -> float:
    return 1.0


def _step(config: Step, progress: float) -> float:
    return config.factor ** sum(milestone <= progress for milestone in config.milestones)


def _cosine(config: Cosine, progress: float) -> float:
    annealed = _after_warmup(config.warmup, progress)
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * annealed)) / 2


def _onecycle(config: OneCycle, progress: float) -> float:
    if progress < config.peak:
        return config.initial + (1 - config.initial) * progress / config.peak
    return (1 - progress) / (1 - config.peak)


def _exponential(config: Exponential, progress: float) -> float:
    return float(config.final ** _after_warmup(config.warmup, progress))


def _after_warmup(warmup: float, progress: float) -> float:
    """Share of the time after the warm-up that has passed: annealing starts at the full rate."""
    return max(0.0, progress - warmup) / (1 - warmup)


class Schedule:
    """The multiplier of the learning rate, a function of the training's progress alone.

    The milestones of `step` are shares of the whole training; `cosine` and `exponential` anneal
    over what the warm-up leaves of it. A linear warm-up multiplies whichever schedule it precedes.

    Args:
        config: the schedule's settings.
        shape: the schedule without its warm-up; called with the settings and the progress.
    """

    def __init__(self, config: ScheduleConfig, shape: Callable[[Any, float], float]) -> None:
        self._config = config
        self._shape = shape

    def rate(self, progress: float) -> float:
        """Return the multiplier of every learning rate.

        Args:
            progress: share of the training's batches that are done, in [0, 1].
        """
        return self._warmup(progress) * self._shape(self._config, progress)

    def end_epoch(self, train_loss: float) -> None:
        """Take note of an epoch's mean training loss."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs: nothing but for `plateau`."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""

    def _warmup(self, progress: float) -> float:
        if progress >= self._config.warmup:
            return 1.0
        return WARMUP_START + (1 - WARMUP_START) * progress / self._config.warmup


class PlateauSchedule(Schedule):
    """Multiplied by `factor` whenever the training loss has stopped falling.

    `patience` epochs in a row without a new lowest loss are tolerated, the next one lowers the rate
    and starts the count anew: torch's `ReduceLROnPlateau` with threshold 0. The training loss, not
    the validation's: what ranks a trial must not steer it.
    """

    def __init__(self, config: Plateau) -> None:
        super().__init__(config, _constant)
        self._plateau = config
        self._drops = 0
        self._stalled = 0
        self._lowest = math.inf

    def rate(self, progress: float) -> float:
        """Return the multiplier, lowered as often as the loss has stalled."""
        return super().rate(progress) * self._plateau.factor**self._drops

    def end_epoch(self, train_loss: float) -> None:
        """Lower the rate after one stalled epoch too many."""
        if train_loss < self._lowest:
            self._lowest, self._stalled = train_loss, 0
        else:
            self._stalled += 1
        if self._stalled > self._plateau.patience:
            self._drops, self._stalled = self._drops + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the drops so far, the stalled epochs in a row, and the lowest loss."""
        return {"drops": self._drops, "stalled": self._stalled, "lowest": self._lowest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._drops, self._stalled = state["drops"], state["stalled"]
        self._lowest = state["lowest"]


def _pure(shape: Callable[[Any, float], float]) -> Callable[[Any], Schedule]:
    return lambda config: Schedule(config, shape)


SCHEDULES: dict[str, Callable[[Any], Schedule]] = {
    "constant": _pure(_constant),
    "step": _pure(_step),
    "cosine": _pure(_cosine),
    "onecycle": _pure(_onecycle),
    "exponential": _pure(_exponential),
    "plateau": PlateauSchedule,
}
"""Builders by name; each takes the schedule's configuration."""


def build_schedule(config: ScheduleConfig) -> Schedule:
    """Build the schedule that a trial's configuration names."""
    return SCHEDULES[config.name](config)
