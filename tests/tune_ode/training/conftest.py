"""A small learnable problem with the interface of `TrialData`, and a manual clock."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from tune_ode.config import TrialConfig
from tune_ode.data import PixelStatistics
from tune_ode.records import Report
from tune_ode.training import TrialContext, training_loop

CLASSES = 3
SIZE = 8


@dataclass
class ManualClock:
    """A clock that only `advance` moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True)
class SmallTrain:
    """Batches in a new order each epoch, with noise as augmentation; a batch takes 1 s."""

    images: Tensor
    labels: Tensor
    clock: ManualClock
    batch_size: int = 12
    seed: int = 0

    def __len__(self) -> int:
        return len(self.images) // self.batch_size

    def epoch(self, number: int, first_batch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1000 * self.seed + number)
        order = torch.randperm(len(self.images), generator=generator)
        noise = 0.1 * torch.randn(self.images.shape, generator=generator)
        for batch in range(first_batch, len(self)):
            indices = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            self.clock.advance(1)
            yield self.images[indices] + noise[indices], self.labels[indices]

    def dummy(self) -> tuple[Tensor, Tensor]:
        self.clock.advance(100)
        shape = (self.batch_size, *self.images.shape[1:])
        return torch.zeros(shape), torch.zeros(self.batch_size, dtype=torch.int64)


@dataclass(frozen=True)
class SmallEvaluation:
    """All images in order, in batches of 7; a pass takes 10 s."""

    stored: Tensor
    labels: Tensor
    clock: ManualClock

    @property
    def images(self) -> int:
        return len(self.stored)

    def first(self, images: int) -> "SmallEvaluation":
        return replace(self, stored=self.stored[:images], labels=self.labels[:images])

    def __len__(self) -> int:
        return -(-len(self.stored) // 7)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.stored), 7):
            yield self.stored[start : start + 7], self.labels[start : start + 7]
        self.clock.advance(10)


@dataclass(frozen=True)
class SmallData:
    train: SmallTrain
    validation: SmallEvaluation
    shape: tuple[int, int, int] = (1, SIZE, SIZE)
    classes: int = CLASSES
    class_names: tuple[str, ...] = ("ant", "bee", "fly")
    statistics: PixelStatistics = field(
        default_factory=lambda: PixelStatistics(mean=(0.5,), std=(0.25,))
    )
    chance: float = 1 / CLASSES
    class_weights: Tensor | None = None
    test: SmallEvaluation | None = None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def data(clock: ManualClock) -> SmallData:
    """60 training images (5 batches) and 20 validation images of three noisy patterns."""
    generator = torch.Generator().manual_seed(7)
    patterns = torch.randn(CLASSES, 1, SIZE, SIZE, generator=generator)
    labels = torch.arange(80) % CLASSES
    images = patterns[labels] + 0.7 * torch.randn(80, 1, SIZE, SIZE, generator=generator)
    return SmallData(
        train=SmallTrain(images[:60], labels[:60], clock),
        validation=SmallEvaluation(images[60:], labels[60:], clock),
    )


@pytest.fixture
def train(data: SmallData, clock: ManualClock) -> Callable[..., Iterator[Report]]:
    """`training_loop` with the small problem, a CPU and the manual clock unless given others."""
    context = TrialContext(now=clock)
    return partial(training_loop, data=data, device=torch.device("cpu"), context=context)


SMALL = {
    "model.width": 4,
    "model.head.dropout": 0.3,
    "solver.method": "euler",
    "training.epochs": 3,
    "training.batch_size": 12,
}


@pytest.fixture
def small_config() -> Callable[..., TrialConfig]:
    """Build a tiny configuration with dropout; keyword `a__b` sets the path `a.b`."""

    def build(**values: object) -> TrialConfig:
        dotted = {name.replace("__", "."): value for name, value in values.items()}
        return TrialConfig().with_values(SMALL | dotted)

    return build


NOT_TRAINING = {
    "attempt",
    "timestamp",
    "warmup_seconds",
    "eval_seconds",
    "checkpoint_seconds",
    "wall_seconds",
    "cpu_seconds",
    "train_cpu_seconds",
    "train_waiting_seconds",
}


@pytest.fixture
def results() -> Callable[[Report], dict[str, object]]:
    """Return a report without the times other than training, which an interruption changes."""

    def without(report: Report) -> dict[str, object]:
        return {k: v for k, v in asdict(report).items() if k not in NOT_TRAINING}

    return without
