"""Commands that list, rank and report runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_ode.cli.app import app, new_console
from tune_ode.cli.options.analysis import (
    Budgets,
    By,
    Clock,
    Columns,
    Every,
    Floor,
    Json,
    Run,
    Runs,
    Targets,
)
from tune_ode.cli.options.panels import output as output_panel
from tune_ode.errors import UsageError

if TYPE_CHECKING:
    from analysis.load import Run as RunTables
    from analysis.ranking import Ranking


@app.command()
def runs(
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER|URL]", help="Parent of run directories.")
    ] = "runs",
    as_json: Json = False,
) -> None:
    """List runs: state, data, space, trials ended, best trial, start, size."""
    from tune_ode.catalog.listing import list_runs
    from tune_ode.paths import run_path

    found = list_runs(run_path(folder))
    if as_json:
        print(json_array(run.to_json() for run in found))
    elif found:
        from tune_ode.cli.display.runs import print_runs

        print_runs(found, new_console())
    else:
        print(f"no runs in {folder}; start one with: tune-ode search")


@app.command()
def rank(
    runs: Runs,
    by: By = "accuracy_per_second",
    floor: Floor = None,
    targets: Targets = None,
    budgets: Budgets = None,
    clock: Clock = "isolated",
    columns: Columns = None,
    as_json: Json = False,
    as_csv: Annotated[bool, output_panel("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Print the ranking of the trials of one or several runs."""
    if columns is not None and (as_json or as_csv):
        raise UsageError(
            "--columns is for the table, and JSON and CSV have all columns; leave out one of them"
        )
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; leave out one of them")
    from analysis.load import load_run
    from analysis.ranking import rank as rank_runs
    from analysis.ranking.metrics import parse_target, parse_thresholds
    from tune_ode.catalog.find import resolve_run
    from tune_ode.text import parse_duration

    loaded = [load_run(resolve_run(run, command="tune-ode rank")) for run in runs]
    _print_passed_over(loaded)
    ranking = rank_runs(
        loaded,
        by=by,
        floor=floor,
        clock=clock,
        targets=parse_thresholds(targets, parse_target),
        budgets=parse_thresholds(budgets, parse_duration),
    )
    if as_json:
        print(json_array(ranking.to_records()))
    elif as_csv:
        print(ranking.to_csv(), end="")
    else:
        from tune_ode.cli.display.ranking import print_ranking

        print_ranking(ranking, new_console(), columns=columns and columns.split(","))


@app.command()
def report(
    run: Run,
    by: By = "accuracy_per_second",
    floor: Floor = None,
    targets: Targets = None,
    budgets: Budgets = None,
    clock: Clock = "isolated",
    watch: Annotated[
        bool, output_panel("--watch", help="Update the report until the search ends.")
    ] = False,
    every: Every = None,
    output: Annotated[
        Path | None,
        output_panel(metavar="FOLDER", help="Directory for the report. Default: RUN/report."),
    ] = None,
) -> None:
    """Write a report: a page, its plots, the ranking as CSV and JSON."""
    from analysis.load import load_run
    from analysis.ranking import rank as rank_runs
    from analysis.ranking.metrics import parse_target, parse_thresholds
    from analysis.report import watch_report, write_report
    from tune_ode.catalog.find import resolve_run
    from tune_ode.text import parse_duration

    folder = resolve_run(run, command="tune-ode report")
    thresholds = {
        "targets": parse_thresholds(targets, parse_target),
        "budgets": parse_thresholds(budgets, parse_duration),
    }

    def load() -> tuple[RunTables, Ranking]:
        loaded = load_run(folder)
        return loaded, rank_runs(loaded, by=by, floor=floor, clock=clock, **thresholds)

    if watch:
        watch_report(load, every=10.0 if every is None else every, output=output)
    else:
        loaded, ranking = load()
        page = write_report(loaded, ranking, output=output)
        _print_passed_over([loaded])
        print(page)


def _print_passed_over(runs: list[RunTables]) -> None:
    from analysis.load import describe_passed_over

    if line := describe_passed_over(runs):
        print(f"tune-ode: {line}", file=sys.stderr)


def json_array(rows: Iterable[dict[str, Any]]) -> str:
    """Return a JSON array with one row per line."""
    return "[\n" + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]"
