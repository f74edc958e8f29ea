"""Output of `simulate`: the table of strategies, a plot, and the time of the driver."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from analysis.curves import first_instant
from analysis.plots import style
from analysis.plots.isolation import isolated
from analysis.plots.simulated import plot_best_so_far
from analysis.plots.style import to_png
from analysis.ranking.metrics import default_targets
from analysis.statistics import Sample
from tune_ode import records
from tune_ode.cli.display.result import path_or_error
from tune_ode.cli.display.terminal import WARNING, Column, fit, table_of
from tune_ode.errors import Interrupted, RunFolderError, UsageError
from tune_ode.paths import display_path
from tune_ode.simulation.recordings import Recordings
from tune_ode.simulation.simulate import SimulatedSearch, SimulationOptions, Strategy, simulate
from tune_ode.simulation.summary import StrategySummary, Summary, best_so_far_at, gain, summarize
from tune_ode.text import pluralize
from tune_ode.tuning.study.coverage import grid_problem
from tune_ode.tuning.study.samplers import GRID, sampler_factory

if TYPE_CHECKING:
    from rich.console import Console

    Results = Mapping[Strategy, Sequence[SimulatedSearch]]

SUMMARY_FILE = "simulation.json"
PLOT_FILE = "best-so-far.png"
_INSTANTS = 400


def run_simulation(
    options: SimulationOptions,
    output: Path,
    targets: Sequence[float] | None,
    console: Console,
    *,
    check: bool = False,
) -> None:
    """Simulate, write a new directory atomically, and print the table.

    If interrupted, write and print the completed repetitions, as if no more had been requested.

    Args:
        options: what to simulate.
        output: directory to create.
        targets: accuracies to report the time to; None for targets near the best recorded one.
        console: console for the output.
        check: print what would be simulated only.

    Raises:
        Interrupted: interrupted after some repetitions.
        UsageError: nothing to replay, or the directory exists or cannot be written.
    """
    for sampler in options.samplers:
        sampler_factory(sampler)
    recordings = Recordings.read(options.source, options.space)
    if GRID in options.samplers and (problem := grid_problem(recordings.space)) is not None:
        raise UsageError(f"--sampler grid {problem}; choose another --sampler")
    output = output.absolute()
    if output.exists():
        raise RunFolderError(f"{display_path(output)} exists already; choose another --name")
    _print_options(options, recordings, console)
    if check:
        return
    staging = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {output}: {error.strerror}; choose another --output"
        ) from None
    try:
        results = _simulate(options, staging, console)
        requested, completed = options.repetitions, len(results[options.strategies[0]])
        options = options.model_copy(update={"repetitions": completed})
        if targets is None:
            targets = default_targets(max(recordings.accuracies))
        summary = summarize(results, recordings, options, targets)
        content = {
            "options": options.to_dict(),
            "recorded_trials": len(recordings.trials),
            "recorded_stopped": recordings.num_stopped,
            **asdict(summary),
        }
        records.write_atomic(staging / SUMMARY_FILE, records.dumps(content) + "\n")
        staging.rename(output)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    print_summary(summary, console)
    _print_costs(results, console)
    plot = path_or_error(lambda: _plot(results, summary, output / PLOT_FILE))
    _print(
        console,
        f"plot      {plot}\n"
        f"searches  {display_path(output)}: the run directory of the first repetition of each; "
        f"see: tune-ode rank {display_path(output / options.strategies[0].directory)}",
    )
    if completed < requested:
        raise Interrupted(f"interrupted after {completed} of {pluralize(requested, 'repetition')}")


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _print_options(options: SimulationOptions, recordings: Recordings, console: Console) -> None:
    limits = [f"{options.trials} trials"] if options.trials else []
    limits += [f"{options.time_budget:g} s"] if options.time_budget else []
    patience = pluralize(options.patience or 0, "trial")
    limits += [f"{patience} without an improvement"] if options.patience else []
    _print(
        console,
        f"recorded  {options.source}: {pluralize(len(recordings.trials), 'trial')}, "
        f"{pluralize(len(recordings.space.names), 'parameter')}\n"
        f"simulate  {', '.join(map(str, options.strategies))}\n"
        f"each      {pluralize(options.repetitions, 'repetition')} of {' or '.join(limits)}, "
        f"{pluralize(options.workers, 'worker')}",
    )
    if recordings.num_stopped:
        console.print(
            f"{pluralize(recordings.num_stopped, 'recorded curve')} stopped early and continued as "
            "constant, which favours schedulers that stop trials; record with --scheduler none to "
            "compare schedulers",
            style=WARNING,
            highlight=False,
        )


def _simulate(options: SimulationOptions, output: Path, console: Console) -> Results:
    """Return the searches of each strategy, equally many even if interrupted.

    Raises:
        KeyboardInterrupt: before the first repetition was complete.
    """
    results: dict[Strategy, list[SimulatedSearch]] = {
        strategy: [] for strategy in options.strategies
    }
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress,
        contextlib.suppress(KeyboardInterrupt),
    ):
        task = progress.add_task("searches", total=len(results) * options.repetitions)
        for strategy, search in simulate(options, output):
            results[strategy].append(search)
            progress.advance(task)
    completed = min(map(len, results.values()))
    if completed == 0:
        raise KeyboardInterrupt
    return {strategy: searches[:completed] for strategy, searches in results.items()}


def _plot(results: Results, summary: Summary, path: Path) -> Path:
    instants = np.geomspace(first_instant(summary.horizon), summary.horizon, _INSTANTS)
    best = {str(strategy): best_so_far_at(each, instants) for strategy, each in results.items()}
    with isolated():
        figure, ax = style.figure()
        plot_best_so_far(instants, best, ax)
        records.write_atomic(path, to_png(figure))
    return path


def _columns(summary: Summary) -> dict[str, Column]:
    """Return the columns of the table of strategies, by heading."""
    strategies, baseline = summary.strategies, summary.strategies[0]
    cells = {
        "sampler · scheduler": [strategy.strategy for strategy in strategies],
        "trials": [f"{np.mean(strategy.trials):.1f}" for strategy in strategies],
        "stopped": [
            f"{np.sum(strategy.stopped) / max(np.sum(strategy.trials), 1):.0%}"
            for strategy in strategies
        ],
        "hypervolume": [_with_interval(Sample.of(strategy.hypervolume)) for strategy in strategies],
        "area": [_with_interval(Sample.of(strategy.area)) for strategy in strategies],
        "gain": [
            "" if strategy is baseline else _difference(gain(strategy, baseline))
            for strategy in strategies
        ],
    }
    for target in map("{:g}".format, summary.targets):
        cells[f"s to {target}"] = [_to_target(strategy, target) for strategy in strategies]
    return {
        heading: Column(heading, list(map(Text, texts)), left=heading.startswith("sampler"))
        for heading, texts in cells.items()
    }


def print_summary(summary: Summary, console: Console) -> None:
    """Print the table of strategies; a narrow terminal leaves out columns."""
    columns = _columns(summary)
    baseline = summary.strategies[0]
    to_targets = [heading for heading in columns if heading.startswith("s to ")]
    sacrifices = ["stopped", "hypervolume", *to_targets[:-1], "trials", *to_targets[-1:], "gain"]
    console.print(table_of(fit(columns, console.width, sacrifices)))
    console.print(
        "area: mean best-so-far validation accuracy over log-seconds of the search, to "
        f"{summary.horizon:.4g} s; ± half a 95 % interval, over "
        f"{pluralize(len(baseline.area), 'repetition')}; gain: paired difference of areas to the "
        "first row\n"
        "s to a target: median seconds of the search; in brackets the fraction of searches that "
        "reached it, if not all",
        style="dim",
        highlight=False,
    )


def _with_interval(sample: Sample) -> str:
    low, high = sample.interval()
    spread = "" if np.isnan(low) else f" ±{(high - low) / 2:.4f}"
    return f"{sample.mean:.4f}{spread}"


def _difference(sample: Sample) -> str:
    low, high = sample.interval()
    significant = not np.isnan(low) and not low <= 0 <= high
    return f"{sample.mean:+.4f}" if significant else "noise"


def _to_target(strategy: StrategySummary, target: str) -> str:
    seconds = strategy.to_target[target]
    fraction = sum(s is not None for s in seconds) / len(seconds)
    if fraction < 0.5:
        return f"({fraction:.0%})"
    # the median of all searches: those that never reached the target count as the slowest
    median = float(np.median([np.inf if s is None else s for s in seconds]))
    return f"{median:.3g}" + ("" if fraction == 1 else f" ({fraction:.0%})")


def _print_costs(results: Results, console: Console) -> None:
    for strategy, searches in results.items():
        events = sum(search.events for search in searches)
        trials = sum(search.trials for search in searches)
        driver = sum(search.driver_seconds for search in searches)
        proposals = sum(search.proposal_seconds for search in searches)
        console.print(
            f"{strategy}: {events} events of {trials} trials; the driver took "
            f"{1e3 * driver / max(events, 1):.2f} ms per event, and proposals another "
            f"{1e3 * proposals / max(trials, 1):.1f} ms per trial",
            style="dim",
            highlight=False,
        )
