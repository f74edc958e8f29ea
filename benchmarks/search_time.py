"""How much sooner a search has the answer than the script that a user would write in an evening.

    python -m benchmarks.search_time --work DIR [--data mnist] [--seeds 5] [--seconds 300]

The plain script (`benchmarks/plain_ray.py`) and this package's search, one after the other, in an
order that changes from seed to seed: the same space, sampler, trials at once, images, and seconds.
Clocks start with the commands, so start-up is included. Every finished search is kept in the work
folder, and a benchmark that was interrupted goes on where it was. Afterwards the first trials at
each target are trained once more on a fresh seed, to say how many held.
"""

from __future__ import annotations

import argparse
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
from analysis.statistics import Sample
from benchmarks.results_file import results, write_results
from benchmarks.searches import ABLATED, DATA, SEARCHES, Data, Searched, accuracies_again

FRESH = 1_000
"""Seeds of the trainings that check a target are so far from those of the searches."""
CLOSE = 0.01
"""A trial held if its second training came that near to the target, or beyond."""
FIRST_TRAIN_SECONDS = 0.1
"""Where the plane of the hypervolume begins; it ends at the seconds of a search."""
CHANCE = 0.1
"""Accuracy of a guess, of ten classes."""
BEHIND = "seconds behind"
"""Of a search: what it takes beyond the seconds that it had, as for its report."""


def name_of(who: str, data: Data, seed: int) -> str:
    """Return the name of a search's files."""
    return f"{data.dataset}-{who.replace(' ', '-')}-{seed}-{data.seconds:g}s"


def searched(who: str, data: Data, seed: int, work: Path, data_dir: str | None) -> Searched:
    """Return a search, run if it has not been."""
    folder = work / name_of(who, data, seed)
    kept = folder.with_name(f"{folder.name}.json")
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted search left
        found = (SEARCHES | ABLATED)[who](data, seed, folder, data_dir)
        kept.write_text(json.dumps(found.to_json()))
    return Searched.from_json(json.loads(kept.read_text()))


def best_again(one: Searched, data: Data, trial: str, work: Path, data_dir: str | None) -> float:
    """Return the best accuracy of a trial's second training, done if it has not been."""
    kept = work / f"{name_of(one.who, data, one.seed)}-{trial}-again.json"
    if not kept.exists():
        scratch = work / kept.stem
        seed = FRESH + one.seed
        best = max(accuracies_again(one, data, trial, seed, data_dir, scratch), default=0.0)
        kept.write_text(json.dumps(best))
    return float(json.loads(kept.read_text()))


def rows_of(
    data: Data,
    found: dict[str, list[Searched]],
    again: dict[tuple[str, int, str], float],
) -> list[dict[str, Any]]:
    """Return the table of a data set: a row for each target and for each other figure.

    All figures are of equal seconds; what a search does behind them, such as its report, is a
    figure of its own.
    """
    rows, seconds = [], data.seconds
    for target in data.targets:
        row: dict[str, Any] = {"dataset": data.dataset, "figure": f"seconds to {target:g}"}
        for who, searches in found.items():
            firsts = [one.first_at(target) for one in searches]
            times = [np.inf if first is None else first.at for first in firsts]
            row[who] = _finite(statistics.median(times))
            row[f"{who}_all"] = [_finite(each) for each in times]
            checks = [
                again[key] >= target - CLOSE
                for one, first in zip(searches, firsts, strict=True)
                if first is not None and (key := (who, one.seed, first.trial)) in again
            ]
            row[f"{who}_held"] = f"{sum(checks)} of {len(checks)}" if checks else None
        if "plain" in found:
            row["times"] = _ratio(_looked_for(target, found["plain"]), row["tune-ode"])
            row["times_at_least"] = row["plain"] is None
        rows.append(row)
    figures = {
        "trials per hour": lambda one: 3600 * one.trials_by(seconds) / seconds,
        "best accuracy": lambda one: one.best_by(seconds),
        f"best acc./s from {data.targets[0]:g} up": lambda one: rate_by(one, seconds, data),
        "hypervolume": lambda one: volume_at(one, seconds, seconds),
        BEHIND: lambda one: one.seconds - seconds,
    }
    for name, figure in figures.items():
        row = {"dataset": data.dataset, "figure": name}
        for who, searches in found.items():
            values = [figure(one) for one in searches]
            low, high = Sample.of(values).interval()
            row |= {who: statistics.median(values), f"{who}_all": values}
            row[f"{who}_interval"] = [_finite(low), _finite(high)]
        if "plain" in found:
            row["times"] = None if name == BEHIND else _ratio(row["tune-ode"], row["plain"])
        rows.append(row)
    return rows


def _looked_for(target: float, searches: Sequence[Searched]) -> float:
    """Return the median of the seconds that searches took to a target, or spent in vain."""
    firsts = [one.first_at(target) or one.learned[-1] for one in searches if one.learned]
    return statistics.median(one.at for one in firsts) if firsts else 0.0


def rate_by(one: Searched, seconds: float, data: Data) -> float:
    """Return the best accuracy per second of training that was known at an instant.

    Over chance, and where the lowest target was reached, as this package ranks trials.
    """
    rates = [
        (each.accuracy - CHANCE) / each.train_seconds
        for each in one.known_by(seconds)
        if each.accuracy >= data.targets[0]
    ]
    return max(rates, default=0.0)


def volume_at(one: Searched, at: float, seconds: float) -> float:
    """Return the hypervolume of (accuracy, log train_seconds) that was known at an instant.

    Args:
        one: a search.
        at: seconds since it was started.
        seconds: where the plane ends.
    """
    known = one.known_by(at)
    if not known:
        return 0.0
    train = np.array([max(each.train_seconds, 1e-6) for each in known])
    accuracy = np.array([each.accuracy for each in known])
    owners = np.zeros(len(known), dtype=int)
    return hypervolume(train, accuracy, owners, first=FIRST_TRAIN_SECONDS, budget=seconds)[0]


def draw(found: dict[Data, dict[str, list[Searched]]], path: Path) -> None:
    """Draw the hypervolume over the wall clock: medians, and the range of all seeds."""
    figure = style.blank(4.5 * len(found) + 1, 4.0, constrained=True)
    for place, (data, by_who) in enumerate(found.items(), start=1):
        seconds = data.seconds
        instants = np.linspace(0, seconds, 200)
        ax = figure.add_subplot(1, len(found), place)
        style.plain(ax)
        for colour, (who, searches) in zip(style.COLOURS, by_who.items(), strict=False):
            rows = [[volume_at(one, at, seconds) for at in instants] for one in searches]
            ax.fill_between(
                instants, np.min(rows, axis=0), np.max(rows, axis=0), color=colour, alpha=0.15, lw=0
            )
            ax.plot(instants, np.median(rows, axis=0), color=colour, label=who)
        ax.set_title(data.dataset)
        ax.set_xlabel("seconds since the command was started")
        ax.set_ylabel("hypervolume of (accuracy, log seconds)")
        ax.legend(frameon=False, loc="lower right")
    figure.savefig(path)


def print_rows(rows: Sequence[dict[str, Any]], who: Sequence[str], console: Console) -> None:
    """Print the table; `times` is how many times better than the plain script.

    Where that never reached a target, it looked for it in vain until its last report.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("data", "figure (median)"):
        table.add_column(heading)
    compared = "plain" in who
    checked = [one for one in who if any(row.get(f"{one}_held") for row in rows)]
    for heading in (*who, *(["times"] if compared else []), *(f"held {one}" for one in checked)):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["dataset"],
            row["figure"],
            *(_text(row[one]) for one in who),
            *([_times(row)] if compared else []),
            *(row.get(f"{one}_held") or "" for one in checked),
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True, help="folder of finished searches")
    parser.add_argument("--data", nargs="*", choices=DATA, default=list(DATA))
    parser.add_argument("--data-dir", help="folder with MNIST/raw")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of each search")
    parser.add_argument("--no-again", action="store_true", help="train nothing a second time")
    parser.add_argument(
        "--ablation", action="store_true", help="this package's search without one ingredient each"
    )
    parser.add_argument("--quick", action="store_true", help="digits, one seed, 40 s, not again")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.data, options.seeds, options.seconds = ["digits"], 1, 40.0
        options.no_again = True
    searches = list(ABLATED if options.ablation else SEARCHES)
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    console = Console()
    found: dict[Data, dict[str, list[Searched]]] = {}
    for name in options.data:
        data = DATA[name]
        if options.seconds is not None:
            data = dataclasses.replace(data, seconds=options.seconds)
        by_who = found.setdefault(data, {who: [] for who in searches})
        for seed in range(options.seeds):
            for who in searches if seed % 2 else searches[::-1]:
                one = searched(who, data, seed, work, options.data_dir)
                by_who[who].append(one)
                best = one.best_by(data.seconds)
                console.print(
                    f"{name}, seed {seed}, {who}: {one.trials_by(data.seconds)} trials in "
                    f"{data.seconds:g} s, best {best:.4f}",
                    highlight=False,
                )
                sys.stdout.flush()
    rows = []
    for data, by_who in found.items():
        again = {}
        for who, its_searches in by_who.items():
            for one in its_searches if not options.no_again else ():
                for trial in one.again:
                    best = best_again(one, data, trial, work, options.data_dir)
                    again[who, one.seed, trial] = best
                    console.print(
                        f"{data.dataset}, seed {one.seed}, {who}: trial {trial} again: {best:.4f}",
                        style="dim",
                        highlight=False,
                    )
        rows += rows_of(data, by_who, again)
    print_rows(rows, searches, console)
    if options.picture is not None:
        draw(found, options.picture)
    measured = results("search_time", options.seeds, rows)
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


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
