"""Repeats searches on the simulated clock, to tell samplers and schedulers apart beyond the noise.

Everything follows from the recordings and the seed; only what the driver itself took is measured.
"""

from __future__ import annotations

import itertools
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from optuna.trial import Trial
from pydantic import Field

from tune_ode.config.base import ConfigModel
from tune_ode.records import Outcome, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.simulation.engine import (
    Observation,
    SimulatedClock,
    replay,
    run_simulated,
)
from tune_ode.simulation.recordings import Recordings
from tune_ode.tuning.search.asha import SchedulerName
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.objective import OBJECTIVES, ObjectiveName
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.signals import interrupts_stay_here
from tune_ode.worker.spec import WorkerSpec

SEEDS = 100_000
"""Seeds kept for the repetitions of one seed."""


class SimulationOptions(ConfigModel):
    """What is simulated; goes into simulation.json."""

    source: str
    """A run, or a table of recordings."""
    space: str | None = None
    """Of a table."""
    samplers: list[str]
    schedulers: list[SchedulerName]
    workers: int = Field(ge=1)
    repetitions: int = Field(ge=1, lt=SEEDS)
    trials: int | None = Field(default=None, ge=1)
    time_budget: float | None = Field(default=None, gt=0)
    """Simulated seconds of a search."""
    trial_seconds: float | None = Field(default=None, gt=0)
    """`train_seconds` of a trial; None: as recorded."""
    objective: ObjectiveName = "anytime"
    seed: int = Field(default=0, ge=0, lt=2**31 // SEEDS)

    @property
    def strategies(self) -> list[Strategy]:
        """Every sampler with every scheduler, once however often it was named."""
        pairs = itertools.product(self.samplers, self.schedulers)
        return [Strategy(*pair) for pair in dict.fromkeys(pairs)]


@dataclass(frozen=True)
class Strategy:
    """A sampler and a scheduler."""

    sampler: str
    scheduler: SchedulerName

    def __str__(self) -> str:
        return f"{self.sampler} · {self.scheduler}"

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        return re.sub(r"[^\w.-]", "-", f"{self.sampler}-{self.scheduler}")


@dataclass(frozen=True)
class Simulated:
    """One search."""

    learned: Sequence[Observation]
    trials: int
    """That ended, the interrupted ones left out."""
    stopped: int
    """Of these, early."""
    seconds: float
    """Simulated, from the first start to the last end."""
    driver_seconds: float
    """Real ones that the search took, proposals apart."""
    proposal_seconds: float
    results: int
    """Report lines and endings that the driver took in."""


class _Timed(StudyAdapter):
    """Proposals that time themselves: what a sampler takes is no cost of the driver."""

    seconds = 0.0

    def propose(self, spent: float = 0.0) -> tuple[Trial, dict[str, Any]]:
        start = time.perf_counter()
        try:
            return super().ask(spent)
        finally:
            self.seconds += time.perf_counter() - start


def simulate_search(
    recordings: Recordings,
    question: SimulationOptions,
    strategy: Strategy,
    repetition: int,
    path: Path,
) -> Simulated:
    """Run one search into a new run folder.

    Args:
        recordings: what answers.
        question: the terms of the search.
        strategy: its sampler and scheduler.
        repetition: its number, which its seed follows from.
        path: of the folder.
    """
    clock = SimulatedClock()
    trial_seconds = question.trial_seconds or recordings.trial_seconds
    folder = RunFolder.create(path, _manifest(recordings, question, strategy, trial_seconds))
    start = time.perf_counter()
    try:
        proposals = _Timed(
            recordings.space,
            objective=OBJECTIVES[question.objective],
            pace="epoch" if strategy.scheduler == "epochs" else "train_seconds",
            sampler=strategy.sampler,
            seed=question.seed * SEEDS + repetition,
        )
        search = Search(
            folder,
            proposals,
            recordings.base,
            Budget(
                trials=question.trials,
                seconds=question.time_budget,
                trial_seconds=trial_seconds,
            ),
            WorkerSpec(data_dir=None, device="cpu", threads=1),
            scheduler=strategy.scheduler,
            clock=clock,
        )
        learned = run_simulated(
            search,
            clock,
            workers=question.workers,
            answer=replay(recordings),
        )
        search.close()
    finally:
        folder.close()
    took = time.perf_counter() - start
    ended = [one for one in search.results.values() if one.outcome is not Outcome.INTERRUPTED]
    return Simulated(
        learned=learned,
        trials=len(ended),
        stopped=sum(one.outcome is Outcome.STOPPED for one in ended),
        seconds=clock.now,
        driver_seconds=took - proposals.seconds,
        proposal_seconds=proposals.seconds,
        results=len(learned) + len(search.results),
    )


def simulate(question: SimulationOptions, kept: Path) -> Iterator[tuple[Strategy, Simulated]]:
    """Run every repetition of every strategy, on all processors; yield them in a fixed order.

    A repetition of every strategy comes before the next one, so that whoever stops in between has
    them all equally often.

    Args:
        question: what to simulate.
        kept: an existing folder; the run folders of the first repetitions come into it.
    """
    jobs = list(itertools.product(range(question.repetitions), question.strategies))
    with (
        tempfile.TemporaryDirectory(prefix="tune-ode-simulate-") as scratch,
        ProcessPoolExecutor(
            mp_context=get_context("spawn"), initializer=_begin, initargs=(question,)
        ) as pool,
    ):
        paths = [
            Path(scratch) / f"{strategy.folder}-{repetition}"
            if repetition
            else kept / strategy.folder
            for repetition, strategy in jobs
        ]
        repetitions, strategies = zip(*jobs, strict=True)
        with interrupts_stay_here():
            searches = pool.map(_simulate_one, strategies, repetitions, paths)
        try:
            yield from zip(strategies, searches, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


_AT_WORK: tuple[SimulationOptions, Recordings] | None = None
"""Of a process of the pool."""


def _begin(question: SimulationOptions) -> None:
    global _AT_WORK
    _AT_WORK = question, Recordings.read(question.source, question.space)


def _simulate_one(strategy: Strategy, repetition: int, path: Path) -> Simulated:
    assert _AT_WORK is not None
    question, recordings = _AT_WORK
    return simulate_search(recordings, question, strategy, repetition, path)


def _manifest(
    recordings: Recordings,
    question: SimulationOptions,
    strategy: Strategy,
    trial_seconds: float | None,
) -> RunManifest:
    return RunManifest(
        name=strategy.folder,
        state="running",
        options={
            "command": "simulate",
            "dataset": recordings.base.data.dataset,
            "sampler": strategy.sampler,
            "scheduler": strategy.scheduler,
            "objective": question.objective,
            "trials": question.trials,
            "time_budget": question.time_budget,
            "seed": question.seed,
        },
        space=recordings.space.to_dict(),
        base=recordings.base.to_dict(),
        chance=recordings.chance,
        trial_seconds=trial_seconds,
        created=0.0,
        hardware={"simulated workers": question.workers},
    )
