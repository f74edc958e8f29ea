"""Repeats simulated searches to compare samplers and schedulers.

Results depend on the recordings and the seed only, except the measured time of the driver.
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

from search_spaces import to_dict
from tune_ode.config.base import ConfigModel
from tune_ode.errors import RunFailed
from tune_ode.process.signals import block_signals
from tune_ode.process.spawn import without_main_module
from tune_ode.records import Outcome, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.simulation.engine import Observation, SimulatedClock, replay, run_simulated
from tune_ode.simulation.recordings import Recordings
from tune_ode.tuning.search.asha import SchedulerName
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.objective import OBJECTIVES, ObjectiveName
from tune_ode.tuning.study.open_study import quiet_optuna
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec

MAX_REPETITIONS = 100_000
"""Seeds reserved for the repetitions of one seed."""


class SimulationOptions(ConfigModel):
    """Options of `tune-ode simulate`, as written to simulation.json."""

    source: str
    """Run or table; see `Recordings.read`."""
    space: str | None = None
    """Space of a table."""
    samplers: list[str]
    schedulers: list[SchedulerName]
    workers: int = Field(ge=1)
    repetitions: int = Field(ge=1, lt=MAX_REPETITIONS)
    trials: int | None = Field(default=None, ge=1)
    time_budget: float | None = Field(default=None, gt=0)
    """Simulated seconds of a search."""
    patience: int | None = Field(default=None, ge=1)
    """Trials without an improvement of the objective after which a search ends."""
    trial_seconds: float | None = Field(default=None, gt=0)
    """Budget of a trial in train_seconds; None for that of the recordings."""
    objective: ObjectiveName = "anytime"
    seed: int = Field(default=0, ge=0, lt=2**31 // MAX_REPETITIONS)

    @property
    def strategies(self) -> list[Strategy]:
        """Every pair of a sampler and a scheduler, without duplicates."""
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
    def directory(self) -> str:
        """Name of its run directory."""
        return re.sub(r"[^\w.-]", "-", f"{self.sampler}-{self.scheduler}")


@dataclass(frozen=True)
class SimulatedSearch:
    """Result of one simulated search."""

    observations: Sequence[Observation]
    trials: int
    """Number of ended trials, without those that the end of the search cut off."""
    stopped: int
    """Number of these that were stopped early."""
    seconds: float
    """Simulated duration of the search."""
    driver_seconds: float
    """Real time of the driver without proposals."""
    proposal_seconds: float
    """Real time of the sampler."""
    events: int
    """Number of reports and trial ends that the driver processed."""


class _TimedStudy(StudyAdapter):
    """Measures the time of proposals."""

    proposal_seconds = 0.0

    def ask(self, spent: float = 0.0) -> tuple[Trial, dict[str, Any]] | None:
        start = time.perf_counter()
        try:
            return super().ask(spent)
        finally:
            self.proposal_seconds += time.perf_counter() - start


@quiet_optuna()
def simulate_search(
    recordings: Recordings,
    options: SimulationOptions,
    strategy: Strategy,
    repetition: int,
    path: Path,
) -> SimulatedSearch:
    """Run one search in a new run directory.

    Args:
        recordings: trials to replay.
        options: options of the search.
        strategy: its sampler and scheduler.
        repetition: number of the repetition, which determines the seed.
        path: run directory to create.
    """
    clock = SimulatedClock()
    budget = Budget(
        trials=options.trials,
        seconds=options.time_budget,
        trial_seconds=options.trial_seconds or recordings.trial_seconds,
        patience=options.patience,
    )
    manifest = _manifest(recordings, options, strategy, budget.trial_seconds)
    folder = RunFolder.create(path, manifest)
    start = time.perf_counter()
    try:
        study = _TimedStudy(
            recordings.space,
            objective=OBJECTIVES[options.objective],
            instants=None if strategy.scheduler == "epochs" else budget.report_instants,
            sampler=strategy.sampler,
            seed=options.seed * MAX_REPETITIONS + repetition,
        )
        search = Search(
            folder,
            study,
            recordings.base,
            budget,
            WorkerSpec(data_dir=None, device="cpu", threads=1),
            scheduler=strategy.scheduler,
            clock=clock,
        )
        observations = run_simulated(
            search, clock, workers=options.workers, run_trial=replay(recordings)
        )
        search.close()
    finally:
        folder.close()
    if study.failure is not None:
        raise RunFailed(f"{strategy}: {study.failure}")
    elapsed = time.perf_counter() - start
    outcomes = [r.outcome for r in search.results.values() if not r.can_resume]
    return SimulatedSearch(
        observations=observations,
        trials=len(outcomes),
        stopped=outcomes.count(Outcome.STOPPED),
        seconds=clock.now,
        driver_seconds=elapsed - study.proposal_seconds,
        proposal_seconds=study.proposal_seconds,
        events=len(observations) + len(search.results),
    )


def simulate(
    options: SimulationOptions, output: Path
) -> Iterator[tuple[Strategy, SimulatedSearch]]:
    """Run every repetition of every strategy on all CPUs; yield the results in a fixed order.

    Repetition n of all strategies comes before repetition n + 1, so a caller that stops early has
    the same number of repetitions of each.

    Args:
        options: what to simulate.
        output: existing directory that receives the run directory of each first repetition.
    """
    jobs = list(itertools.product(range(options.repetitions), options.strategies))
    with tempfile.TemporaryDirectory(prefix="tune-ode-simulate-") as scratch:
        paths = [
            Path(scratch) / f"{strategy.directory}-{repetition}"
            if repetition
            else output / strategy.directory
            for repetition, strategy in jobs
        ]
        repetitions, strategies = zip(*jobs, strict=True)
        with without_main_module(), block_signals():
            pool = ProcessPoolExecutor(
                mp_context=get_context("spawn"), initializer=_init_worker, initargs=(options,)
            )
            searches = pool.map(_simulate_one, strategies, repetitions, paths)
        try:
            yield from zip(strategies, searches, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


_worker_state: tuple[Recordings, SimulationOptions]
"""Set in each process of the pool."""


def _init_worker(options: SimulationOptions) -> None:
    global _worker_state
    _worker_state = Recordings.read(options.source, options.space), options


def _simulate_one(strategy: Strategy, repetition: int, path: Path) -> SimulatedSearch:
    return simulate_search(*_worker_state, strategy, repetition, path)


def _manifest(
    recordings: Recordings,
    options: SimulationOptions,
    strategy: Strategy,
    trial_seconds: float | None,
) -> RunManifest:
    return RunManifest(
        name=strategy.directory,
        state="running",
        options={
            "command": "simulate",
            "dataset": recordings.base.data.dataset,
            "sampler": strategy.sampler,
            "scheduler": strategy.scheduler,
            "objective": options.objective,
            "trials": options.trials,
            "time_budget": options.time_budget,
            "patience": options.patience,
            "seed": options.seed,
        },
        space=to_dict(recordings.space),
        base=recordings.base.to_dict(),
        chance=recordings.chance,
        trial_seconds=trial_seconds,
        created=0.0,
        hardware={"simulated workers": options.workers},
    )
