"""Compare the time to a result of a search and of a user's own script.

    python -m benchmarks.search_time --work DIR [--data mnist] [--seeds 5] [--seconds 300]

The plain script (`benchmarks/harness/plain_ray.py`) and this package's search run alternately, in
an order that changes with the seed, with the same space, sampler, concurrency, images and seconds.
The clock starts with the command, so start-up is included. Every finished search is kept in the
work directory, from which an interrupted benchmark resumes. Afterwards, the first trials at each
target are retrained on a fresh seed, to count those that reproduce.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.curves import hypervolume
from analysis.plots import style
from analysis.plots.style import to_png
from analysis.statistics import Sample
from benchmarks.harness.results_file import finish, new_parser
from benchmarks.harness.searches import (
    ABLATED,
    DATA,
    SEARCHES,
    Data,
    SearchRun,
    retrained_accuracies,
)
from tune_ode.text import pluralize

RETRAIN_SEED_OFFSET = 1_000
"""Difference between the seed of a search and that of its retrained trials."""
TOLERANCE = 0.01
"""A trial reproduces if its retraining misses the target by at most this accuracy."""
FIRST_TRAIN_SECONDS = 0.1
"""Start of the hypervolume's time axis, which ends at the seconds of a search."""
CHANCE = 0.1
"""Accuracy of a random guess among ten classes."""
OVERRUN = "seconds over budget"
"""Seconds that a search takes beyond its budget, for example for its report."""


def name_of(variant: str, data: Data, seed: int) -> str:
    """Return the file name of a search."""
    return f"{data.dataset}-{variant.replace(' ', '-')}-{seed}-{data.seconds:g}s"


def load_or_search(
    variant: str, data: Data, seed: int, work: Path, data_dir: str | None
) -> SearchRun:
    """Return a search, which is run if it has no file yet."""
    folder = work / name_of(variant, data, seed)
    kept = folder.with_name(f"{folder.name}.json")
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted search
        found = (SEARCHES | ABLATED)[variant](data, seed, folder, data_dir)
        kept.write_text(json.dumps(found.to_json()))
    return SearchRun.from_json(json.loads(kept.read_text()))


def load_or_retrain(
    run: SearchRun, data: Data, trial: str, work: Path, data_dir: str | None
) -> float:
    """Return the best accuracy of a retrained trial, which is trained if it has no file yet."""
    kept = work / f"{name_of(run.variant, data, run.seed)}-{trial}-retrained.json"
    if not kept.exists():
        scratch = work / kept.stem
        seed = RETRAIN_SEED_OFFSET + run.seed
        best = max(retrained_accuracies(run, data, trial, seed, data_dir, scratch), default=0.0)
        kept.write_text(json.dumps(best))
    return float(json.loads(kept.read_text()))


def rows_of(
    data: Data,
    found: dict[str, list[SearchRun]],
    retrained: dict[tuple[str, int, str], float],
) -> list[dict[str, Any]]:
    """Return the rows of a data set: one for each target and each other figure.

    All figures are for equal seconds, except `seconds over budget`.
    """
    rows, seconds = [], data.seconds
    for target in data.targets:
        row: dict[str, Any] = {"dataset": data.dataset, "figure": f"seconds to {target:g}"}
        for variant, searches in found.items():
            firsts = [run.first_at(target) for run in searches]
            times = [np.inf if first is None else first.at for first in firsts]
            row[variant] = _finite(statistics.median(times))
            row[f"{variant}_all"] = [_finite(each) for each in times]
            checks = [
                retrained[key] >= target - TOLERANCE
                for run, first in zip(searches, firsts, strict=True)
                if first is not None and (key := (variant, run.seed, first.trial)) in retrained
            ]
            row[f"{variant}_reproduced"] = f"{sum(checks)} of {len(checks)}" if checks else None
        if "plain" in found:
            row["times"] = _ratio(_search_seconds(target, found["plain"]), row["tune-ode"])
            row["times_at_least"] = row["plain"] is None
        rows.append(row)
    figures = {
        "trials per hour": lambda run: 3600 * run.trials_by(seconds) / seconds,
        "best accuracy": lambda run: run.best_by(seconds),
        f"best acc./s from {data.targets[0]:g} up": lambda run: rate_by(run, seconds, data),
        "hypervolume": lambda run: volume_at(run, seconds, seconds),
        OVERRUN: lambda run: run.seconds - seconds,
    }
    for name, figure in figures.items():
        row = {"dataset": data.dataset, "figure": name}
        for variant, searches in found.items():
            values = [figure(run) for run in searches]
            low, high = Sample.of(values).interval()
            row |= {variant: statistics.median(values), f"{variant}_all": values}
            row[f"{variant}_interval"] = [_finite(low), _finite(high)]
        if "plain" in found:
            row["times"] = None if name == OVERRUN else _ratio(row["tune-ode"], row["plain"])
        rows.append(row)
    return rows


def _search_seconds(target: float, searches: Sequence[SearchRun]) -> float:
    """Return the median seconds to a target, or to the last report of searches that missed it."""
    firsts = [run.first_at(target) or run.measurements[-1] for run in searches if run.measurements]
    return statistics.median(run.at for run in firsts) if firsts else 0.0


def rate_by(run: SearchRun, seconds: float, data: Data) -> float:
    """Return the best accuracy per second of training known at a time.

    As in the ranking of this package, accuracies are above chance and at least the lowest target.
    """
    rates = [
        (each.accuracy - CHANCE) / each.train_seconds
        for each in run.known_by(seconds)
        if each.accuracy >= data.targets[0]
    ]
    return max(rates, default=0.0)


def volume_at(run: SearchRun, at: float, seconds: float) -> float:
    """Return the hypervolume of (accuracy, log train_seconds) known at a time.

    Args:
        run: a search.
        at: seconds since its start.
        seconds: end of the time axis.
    """
    known = run.known_by(at)
    if not known:
        return 0.0
    train = np.array([max(each.train_seconds, 1e-6) for each in known])
    accuracy = np.array([each.accuracy for each in known])
    owners = np.zeros(len(known), dtype=int)
    return hypervolume(train, accuracy, owners, first=FIRST_TRAIN_SECONDS, budget=seconds)[0]


def draw(found: dict[Data, dict[str, list[SearchRun]]], path: Path) -> None:
    """Draw the hypervolume over wall-clock time: medians, and the range over seeds."""
    figure = style.canvas(4.5 * len(found) + 1, 4.0)
    (panels,) = style.grid(figure, 1, len(found), gap=(0.7, 0.0))
    for ax, (data, by_variant) in zip(panels, found.items(), strict=True):
        seconds = data.seconds
        times = np.linspace(0, seconds, 200)
        for colour, (variant, searches) in zip(style.COLOURS, by_variant.items(), strict=False):
            rows = [[volume_at(run, at, seconds) for at in times] for run in searches]
            ax.fill_between(
                times, np.min(rows, axis=0), np.max(rows, axis=0), color=colour, alpha=0.15, lw=0
            )
            ax.plot(times, np.median(rows, axis=0), color=colour, label=variant)
        ax.set_title(data.dataset)
        ax.set_xlabel("seconds since the start of the command")
        ax.set_ylabel("hypervolume of (accuracy, log seconds)")
        ax.legend(frameon=False, loc="lower right")
    path.write_bytes(to_png(figure))


def print_figures(
    rows: Sequence[dict[str, Any]], variants: Sequence[str], console: Console
) -> None:
    """Print the table; `times` is the ratio to the plain script.

    If the plain script never reached a target, the ratio uses the time of its last report.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("data", "figure (median)"):
        table.add_column(heading)
    compared = "plain" in variants
    checked = [name for name in variants if any(row.get(f"{name}_reproduced") for row in rows)]
    for heading in [*variants, *["times"] * compared, *(f"reproduced {name}" for name in checked)]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["dataset"],
            row["figure"],
            *(_text(row[name]) for name in variants),
            *([_times(row)] if compared else []),
            *(row.get(f"{name}_reproduced") or "" for name in checked),
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="digits, one seed, 40 s, no retraining")
    parser.add_argument("--work", type=Path, required=True, help="directory of finished searches")
    parser.add_argument("--data", nargs="*", choices=DATA, default=list(DATA))
    parser.add_argument("--data-dir", help="directory with MNIST/raw")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="budget of each search")
    parser.add_argument("--no-retrain", action="store_true", help="do not retrain trials")
    parser.add_argument(
        "--ablation", action="store_true", help="run this package's search without each ingredient"
    )
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.data, options.seeds, options.seconds = ["digits"], 1, 40.0
        options.no_retrain = True
    searches = list(ABLATED if options.ablation else SEARCHES)
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    console = Console()
    found: dict[Data, dict[str, list[SearchRun]]] = {}
    for name in options.data:
        data = DATA[name]
        if options.seconds is not None:
            data = dataclasses.replace(data, seconds=options.seconds)
        by_variant = found.setdefault(data, {variant: [] for variant in searches})
        for seed in range(options.seeds):
            for variant in searches if seed % 2 else searches[::-1]:
                run = load_or_search(variant, data, seed, work, options.data_dir)
                by_variant[variant].append(run)
                best = run.best_by(data.seconds)
                console.print(
                    f"{name}, seed {seed}, {variant}: "
                    f"{pluralize(run.trials_by(data.seconds), 'trial')} in "
                    f"{data.seconds:g} s, best {best:.4f}",
                    highlight=False,
                )
                sys.stdout.flush()
    rows = []
    for data, by_variant in found.items():
        retrained = {}
        for variant, runs in by_variant.items():
            for run in runs if not options.no_retrain else ():
                for trial in run.retrain:
                    best = load_or_retrain(run, data, trial, work, options.data_dir)
                    retrained[variant, run.seed, trial] = best
                    console.print(
                        f"{data.dataset}, seed {run.seed}, {variant}: "
                        f"trial {trial} retrained: {best:.4f}",
                        style="dim",
                        highlight=False,
                    )
        rows += rows_of(data, by_variant, retrained)
    print_figures(rows, searches, console)
    if options.picture is not None:
        draw(found, options.picture)
    finish(console, options.json, "search_time", options.seeds, rows)


def _ratio(upper: float | None, lower: float | None) -> float | None:
    return None if upper is None or not lower else upper / lower


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _times(row: dict[str, Any]) -> str:
    if row["times"] is None:
        return ""
    return f"{'> ' * row.get('times_at_least', False)}{row['times']:.4g}"


def _text(value: float | None) -> str:
    return "never" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main()
