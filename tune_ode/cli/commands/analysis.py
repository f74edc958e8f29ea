"""Commands that rank, report, confirm and compare trials, solvers and search strategies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_ode.cli.app import app, new_console, preparing
from tune_ode.cli.options import (
    Budgets,
    By,
    Cases,
    Clock,
    Columns,
    Config,
    CpusPerTrial,
    DataDir,
    Dataset,
    Every,
    Fix,
    Floor,
    GpusPerTrial,
    MovedDataset,
    Output,
    Patience,
    Run,
    Runs,
    Samplers,
    Schedulers,
    Seed,
    Seeds,
    SkipBroken,
    Targets,
    TimeBudget,
    Top,
    TrainImages,
    Trials,
    TrialSeconds,
    Trust,
)
from tune_ode.errors import UsageError

if TYPE_CHECKING:
    from analysis.load import Run as RunTables
    from analysis.ranking import Ranking
    from tune_ode.replication.compare_plan import CompareOptions


@app.command()
def rank(
    runs: Runs,
    by: By = "accuracy_per_second",
    floor: Floor = None,
    targets: Targets = None,
    budgets: Budgets = None,
    clock: Clock = "isolated",
    columns: Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of trials.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Print the ranking of the trials of one or several runs."""
    if columns is not None and (as_json or as_csv):
        raise UsageError(
            "--columns is for the table, and JSON and CSV have all columns; leave out one of them"
        )
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
        rows = [json.dumps(row, allow_nan=False) for row in ranking.to_records()]
        print("[\n" + ",\n".join(rows) + "\n]")
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
        bool, typer.Option("--watch", help="Update the report until the search ends.")
    ] = False,
    every: Every = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory for the report. Default: RUN/report.")
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


@app.command()
def confirm(
    context: typer.Context,
    run: Run,
    top: Top = None,
    seeds: Seeds = None,
    dataset: MovedDataset = None,
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    trust: Trust = False,
    check: Annotated[bool, typer.Option("--check", help="Print the plan only.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per configuration.")
    ] = False,
) -> None:
    """Retrain a run's best trials, and its default, with new seeds; evaluate on the test set."""
    from tune_ode.catalog.find import resolve_run
    from tune_ode.cli.display.replication import ReplicationDisplay
    from tune_ode.cli.display.replication_result import (
        print_confirmation_plan,
        print_confirmation_result,
    )
    from tune_ode.cli.resolve import given_values
    from tune_ode.replication.confirm_plan import ConfirmOptions, plan_confirmation
    from tune_ode.replication.train import locked, train_all

    console = new_console(stderr=as_json)
    path = resolve_run(run, persistent=True, command="tune-ode confirm")
    with locked(path):
        with preparing(console) as progress:
            changes = given_values(context, ConfirmOptions)
            plan = plan_confirmation(path, changes, trust=trust, progress=progress)
        print_confirmation_plan(plan, console)
        if check:
            return
        with ReplicationDisplay(console) as display:
            result = train_all(plan, display.watch)
        print_confirmation_result(plan, result, console, as_json=as_json)


@app.command()
def compare(
    context: typer.Context,
    config: Config = None,
    dataset: Dataset = "mnist",
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    skip_broken: SkipBroken = False,
    cases: Cases = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings per case; 2 or more give intervals.")
    ] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 5,
    fix: Fix = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run. Default: derived from the options.")
    ] = None,
    output: Output = "runs",
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    trust: Trust = False,
    check: Annotated[bool, typer.Option("--check", help="Print the plan only.")] = False,
) -> None:
    """Compare solvers and gradients on the classic network: seconds, evaluations, accuracy."""
    from tune_ode.cli.resolve import given_values, parse_fix
    from tune_ode.replication.compare_plan import CompareOptions

    values = given_values(context, CompareOptions) | {
        "fix": parse_fix(fix, skip_broken=skip_broken)
    }
    run_comparison(CompareOptions.from_dict(values), check=check)


def run_comparison(options: CompareOptions, *, check: bool = False) -> None:
    """Start or resume a comparison, and print its result."""
    from tune_ode.cli.display.replication import ReplicationDisplay
    from tune_ode.cli.display.replication_result import (
        print_comparison_plan,
        print_comparison_result,
    )
    from tune_ode.replication.compare_plan import plan_comparison
    from tune_ode.replication.train import train_all

    console = new_console()
    with preparing(console) as progress:
        plan = plan_comparison(options, progress=progress)
    print_comparison_plan(plan, console)
    if check:
        return
    with ReplicationDisplay(console) as display:
        result = train_all(plan, display.watch)
    print_comparison_result(plan, result, console)


@app.command()
def simulate(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|TABLE.jsonl", help="Source of learning curves: a run, or a table."
        ),
    ],
    config: Config = None,
    space: Annotated[
        str | None, typer.Option(metavar="NAME|FILE.yaml", help="Space of a table. Default: quick.")
    ] = None,
    samplers: Samplers = None,
    schedulers: Schedulers = None,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    patience: Patience = None,
    trial_seconds: TrialSeconds = None,
    objective: Annotated[str, typer.Option(help="Objective, as for search.")] = "anytime",
    workers: Annotated[int, typer.Option(min=1, help="Concurrent trials.")] = 2,
    repetitions: Annotated[int, typer.Option(min=1, help="Searches per strategy.")] = 100,
    targets: Targets = None,
    seed: Seed = 0,
    name: Annotated[
        str | None, typer.Option(help="Name of the output directory. Default: that of the source.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Parent directory.")] = Path("simulations"),
    trust: Trust = False,
) -> None:
    """Compare samplers and schedulers on recorded learning curves, in seconds."""
    from analysis.ranking.metrics import parse_target, parse_thresholds
    from tune_ode.catalog.find import resolve_run
    from tune_ode.cli.display.simulation import run_simulation
    from tune_ode.cli.resolve import given_values
    from tune_ode.paths import address
    from tune_ode.simulation.simulate import SimulationOptions
    from tune_ode.tuning.budget import DEFAULT_BUDGET_SECONDS

    values: dict[str, Any] = {"samplers": ["tpe", "random"], "schedulers": ["seconds", "none"]}
    if trials is None and time_budget is None:
        values["time_budget"] = DEFAULT_BUDGET_SECONDS
    values |= given_values(context, SimulationOptions)
    default_name = Path(source).stem
    if not source.endswith(".jsonl"):
        run = resolve_run(source, persistent=True, command="tune-ode simulate")
        values["source"], default_name = address(run), run.name
    options = SimulationOptions.from_dict(values)
    folder = output / (name or default_name)
    run_simulation(options, folder, parse_thresholds(targets, parse_target), new_console())
