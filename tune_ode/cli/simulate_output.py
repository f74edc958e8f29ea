"""What `simulate` writes and prints: the table of strategies, its picture, what the driver took."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from analysis.curves import first_instant
from analysis.metrics import usual_targets
from analysis.plots import style
from analysis.plots.simulated import plot_best_so_far
from analysis.statistics import Sample
from tune_ode import records
from tune_ode.errors import Interrupted, RunFolderError
from tune_ode.paths import shown
from tune_ode.simulation.recordings import Recordings
from tune_ode.simulation.simulate import Simulated, SimulationOptions, Strategy, simulate
from tune_ode.simulation.summary import (
    StrategySummary,
    Summary,
    best_so_far_at,
    gain,
    summarize,
)
from tune_ode.text import pluralize
from tune_ode.tuning.study.samplers import sampler_factory

if TYPE_CHECKING:
    from rich.console import Console

FILE = "simulation.json"
PICTURE = "best-so-far.png"
_INSTANTS = 400
_WIDE = 100
"""Columns of a terminal that has room for everything."""


def run_simulation(
    question: SimulationOptions,
    folder: Path,
    targets: Sequence[float] | None,
    console: Console,
) -> None:
    """Simulate into a new folder, which appears whole or not at all; print the table.

    Interrupted, it writes and prints what the repetitions say that are whole, as if no more had
    been asked for.

    Raises:
        Interrupted: it was interrupted after some repetitions.
        QuestionError: nothing to replay, or a folder that is taken or cannot be written.
    """
    for sampler in question.samplers:
        sampler_factory(sampler)
    recordings = Recordings.read(question.source, question.space)
    folder = folder.absolute()
    if folder.exists():
        raise RunFolderError(f"{shown(folder)} exists already; choose another --name")
    _describe(question, recordings, folder, console)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {folder}: {error.strerror}; choose another --output"
        ) from None
    try:
        found = _simulated(question, staging, console)
        asked, whole = question.repetitions, len(found[question.strategies[0]])
        question = question.model_copy(update={"repetitions": whole})
        targets = usual_targets(recordings.best) if targets is None else targets
        summary = summarize(found, recordings, question, targets)
        content = {
            "options": question.to_dict(),
            "recorded_trials": len(recordings.trials),
            "recorded_cut_off": recordings.cut_off,
            **summary.to_json(),
        }
        records.write_atomic(staging / FILE, records.dumps(content) + "\n")
        _draw(found, summary, staging / PICTURE)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _print(summary, question, console)
    _print_costs(found, console)
    first = question.strategies[0].folder
    console.print(f"picture   {shown(folder / PICTURE)}", highlight=False, soft_wrap=True)
    console.print(
        f"searches  {shown(folder)}: the first repetition of each is a run folder; "
        f"see: tune-ode rank {shown(folder / first)}",
        highlight=False,
        soft_wrap=True,
    )
    if whole < asked:
        raise Interrupted(f"interrupted after {whole} of {pluralize(asked, 'repetition')}")


def _describe(
    question: SimulationOptions, recordings: Recordings, folder: Path, console: Console
) -> None:
    ends = [f"{question.trials} trials"] if question.trials else []
    ends += [f"{question.time_budget:g} s"] if question.time_budget else []
    lines = [
        f"recorded  {question.source}: {pluralize(len(recordings.trials), 'trial')}, "
        f"{pluralize(len(recordings.space.names), 'parameter')}",
        f"simulate  {', '.join(map(str, question.strategies))}",
        f"each      {pluralize(question.repetitions, 'repetition')} of {' or '.join(ends)}, "
        f"{pluralize(question.workers, 'worker')}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if recordings.cut_off:
        console.print(
            f"{recordings.cut_off} of the recorded curves were stopped early and stay flat from "
            "there, which flatters schedulers that stop trials; record with --scheduler none to "
            "compare schedulers",
            style="yellow",
            highlight=False,
        )


def _simulated(
    question: SimulationOptions, kept: Path, console: Console
) -> dict[Strategy, list[Simulated]]:
    """Return the searches of each strategy, equally many: all, or those before an interruption.

    Raises:
        KeyboardInterrupt: before the first repetition was whole.
    """
    found: dict[Strategy, list[Simulated]] = {strategy: [] for strategy in question.strategies}
    total = len(question.strategies) * question.repetitions
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress,
        contextlib.suppress(KeyboardInterrupt),
    ):
        task = progress.add_task("searches", total=total)
        for strategy, simulated in simulate(question, kept):
            found[strategy].append(simulated)
            progress.advance(task)
    whole = min(map(len, found.values()))
    if whole == 0:
        raise KeyboardInterrupt
    return {strategy: searches[:whole] for strategy, searches in found.items()}


def _draw(found: Mapping[Strategy, Sequence[Simulated]], summary: Summary, path: Path) -> None:
    instants = np.geomspace(first_instant(summary.horizon), summary.horizon, _INSTANTS)
    best = {str(strategy): best_so_far_at(each, instants) for strategy, each in found.items()}
    drawn, ax = style.figure()
    plot_best_so_far(instants, best, ax)
    # without a date and a version of matplotlib, equal simulations give equal bytes
    drawn.savefig(path, bbox_inches="tight", metadata={"Software": None})


def _print(summary: Summary, question: SimulationOptions, console: Console) -> None:
    wide = console.width >= _WIDE
    targets = [f"{target:g}" for target in summary.targets][None if wide else -2 :]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("sampler · scheduler", no_wrap=True)
    headings = ["trials", *(["stopped", "hypervolume"] if wide else []), "area", "gain"]
    for heading in (*headings, *(f"s to {target}" for target in targets)):
        table.add_column(heading, justify="right", no_wrap=True)
    first = summary.strategies[0]
    for one in summary.strategies:
        stopped = f"{np.sum(one.stopped) / max(np.sum(one.trials), 1):.0%}"
        table.add_row(
            one.strategy,
            f"{np.mean(one.trials):.1f}",
            *([stopped, _with_interval(Sample.of(one.hypervolume))] if wide else []),
            _with_interval(Sample.of(one.area)),
            "" if one is first else _difference(gain(one, first)),
            *(_to_target(one, target) for target in targets),
        )
    console.print(table)
    lines = [
        "area: mean best-so-far validation accuracy over the logarithm of the search's seconds, "
        f"to {summary.horizon:.4g} s; ± half a 95 % interval, over "
        f"{pluralize(question.repetitions, 'repetition')}; gain: over the first line, repetition by "
        "repetition",
        "s to a target: median seconds of the search; in brackets the share of searches that "
        "reached it, where not all did",
    ]
    for line in lines:
        console.print(line, style="dim", highlight=False)


def _with_interval(sample: Sample) -> str:
    low, high = sample.interval()
    spread = "" if np.isnan(low) else f" ±{(high - low) / 2:.4f}"
    return f"{sample.mean:.4f}{spread}"


def _difference(sample: Sample) -> str:
    low, high = sample.interval()
    sure = not np.isnan(low) and not low <= 0 <= high
    return f"{sample.mean:+.4f}" if sure else "noise"


def _to_target(one: StrategySummary, target: str) -> str:
    reached = [seconds for seconds in one.to_target[target] if seconds is not None]
    share = len(reached) / len(one.to_target[target])
    # the median over all searches, those that never got there being slower than any
    if share < 0.5:
        return f"({share:.0%})"
    everyone = [np.inf if s is None else s for s in one.to_target[target]]
    median = float(np.median(everyone))
    return f"{median:.3g}" + ("" if share == 1 else f" ({share:.0%})")


def _print_costs(found: Mapping[Strategy, Sequence[Simulated]], console: Console) -> None:
    for strategy, searches in found.items():
        results = sum(one.results for one in searches)
        trials = sum(one.trials for one in searches)
        driver = sum(one.driver_seconds for one in searches)
        proposals = sum(one.proposal_seconds for one in searches)
        console.print(
            f"{strategy}: {results} results of {trials} trials; the driver took "
            f"{1e3 * driver / max(results, 1):.2f} ms a result, proposals "
            f"{1e3 * proposals / max(trials, 1):.1f} ms a trial beside it",
            style="dim",
            highlight=False,
        )
