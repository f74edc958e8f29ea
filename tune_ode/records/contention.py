"""The record of how concurrent trials slow each other down."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from tune_ode.records.record import Amount, Count, InvalidRecord, Record, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Contention(Record):
    """How concurrent trials on one kind of device slow each other down.

    Measured after the last trial, with the training step of the run's `base` on its data.
    """

    column: Literal["train_seconds", "train_cpu_seconds"]
    """The field of `Report` that the slowdown divides: `train_cpu_seconds` for trials with one CPU
    thread, which excludes waiting for a core; otherwise `train_seconds`."""
    concurrency: list[Annotated[Count, Field(ge=1)]]
    """Numbers of concurrent trials on a node, rising from 1."""
    slowdown: list[Annotated[Amount, Field(gt=0)]]
    """Seconds per step at each concurrency, as a multiple of an isolated trial's."""
    error: list[Amount]
    """Standard error of each slowdown; 0 for the first, which is 1 by definition."""
    step_seconds: Seconds
    """Seconds per step of an isolated trial, in units of `column`."""
    repetitions: Count
    threads: Count
    """CPU threads of each trial."""
    node: str
    """Host name."""

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.concurrency))
        sizes = {len(self.concurrency), len(self.slowdown), len(self.error)}
        if not rising or len(sizes) > 1 or not self.concurrency:
            raise InvalidRecord("concurrency must rise, with one slowdown and error each")
