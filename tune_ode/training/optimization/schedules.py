"""Learning rate schedules: multipliers of the configured learning rate, and cycled momentum."""

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
"""Multiplier at the start of a warm-up; with 0 the first batch would have no effect."""


def _constant(config: Constant, progress: float) -> float:
    return 1.0


def _step(config: Step, progress: float) -> float:
    return config.factor ** sum(milestone <= progress for milestone in config.milestones)


def _cosine(config: Cosine, progress: float) -> float:
    annealing = _after_warmup(config.warmup, progress)
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * annealing)) / 2


def _onecycle(config: OneCycle, progress: float) -> float:
    if progress < config.peak:
        return config.initial + (1 - config.initial) * progress / config.peak
    return (1 - progress) / (1 - config.peak)


def _exponential(config: Exponential, progress: float) -> float:
    return float(config.final ** _after_warmup(config.warmup, progress))


def _after_warmup(warmup: float, progress: float) -> float:
    """Return the elapsed fraction of the training after the warm-up."""
    return max(0.0, progress - warmup) / (1 - warmup)


class Schedule:
    """A multiplier of the learning rate that depends on the progress of the training only.

    The milestones of `step` are fractions of the training; `cosine` and `exponential` anneal over
    the part after the warm-up. The linear warm-up is a further factor.

    Args:
        config: configuration of the schedule.
        shape: function of the configuration and the progress, without the warm-up.
    """

    def __init__(self, config: ScheduleConfig, shape: Callable[[Any, float], float]) -> None:
        self._config = config
        self._shape = shape

    def rate(self, progress: float) -> float:
        """Return the multiplier at `progress`, the finished fraction of all batches in [0, 1]."""
        return self._warmup(progress) * self._shape(self._config, progress)

    def momentum(self, progress: float) -> float | None:
        """Return the momentum at `progress`; None to leave that of the optimizer."""
        return None

    def end_epoch(self, train_loss: float) -> None:
        """Update the schedule with the mean training loss of an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a resume; empty except for `plateau`."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state."""

    def _warmup(self, progress: float) -> float:
        if progress >= self._config.warmup:
            return 1.0
        return WARMUP_START + (1 - WARMUP_START) * progress / self._config.warmup


class OneCycleSchedule(Schedule):
    """One cycle of the learning rate, with momentum in the opposite direction."""

    def __init__(self, config: OneCycle) -> None:
        super().__init__(config, _onecycle)
        self._cycle = config

    def momentum(self, progress: float) -> float | None:
        """Return the momentum: linear between its bounds, lowest at the peak of the rate."""
        cycle = self._cycle
        if not cycle.cycle_momentum:
            return None
        distance = progress / cycle.peak - 1
        if distance > 0:
            distance = (progress - cycle.peak) / (1 - cycle.peak)
        return cycle.momentum_low + (cycle.momentum_high - cycle.momentum_low) * abs(distance)


class PlateauSchedule(Schedule):
    """Multiply by `factor` when the training loss has stopped decreasing.

    More than `patience` epochs in a row without a new lowest loss lower the rate and reset the
    count, as in torch's `ReduceLROnPlateau` with threshold 0. It does not use the validation loss:
    the measure that ranks a trial must not influence its training.
    """

    def __init__(self, config: Plateau) -> None:
        super().__init__(config, _constant)
        self._plateau = config
        self._drops = 0
        self._stalled = 0
        self._lowest = math.inf

    def rate(self, progress: float) -> float:
        """Return the multiplier, lowered once per plateau."""
        return super().rate(progress) * self._plateau.factor**self._drops

    def end_epoch(self, train_loss: float) -> None:
        """Lower the rate after more than `patience` epochs without improvement."""
        if train_loss < self._lowest:
            self._lowest, self._stalled = train_loss, 0
        else:
            self._stalled += 1
        if self._stalled > self._plateau.patience:
            self._drops, self._stalled = self._drops + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the number of drops, the stalled epochs in a row, and the lowest loss."""
        return {"drops": self._drops, "stalled": self._stalled, "lowest": self._lowest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state."""
        self._drops, self._stalled = state["drops"], state["stalled"]
        self._lowest = state["lowest"]


def _pure(shape: Callable[[Any, float], float]) -> Callable[[Any], Schedule]:
    return lambda config: Schedule(config, shape)


SCHEDULES: dict[str, Callable[[Any], Schedule]] = {
    "constant": _pure(_constant),
    "step": _pure(_step),
    "cosine": _pure(_cosine),
    "onecycle": OneCycleSchedule,
    "exponential": _pure(_exponential),
    "plateau": PlateauSchedule,
}
"""Builders by name; they take the configuration."""


def build_schedule(config: ScheduleConfig) -> Schedule:
    """Build the configured schedule."""
    return SCHEDULES[config.name](config)
