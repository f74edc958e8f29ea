"""The commands that compare: trials of runs, runs trained again, solvers, ways to search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_ode.cli.app import app, new_console, prepared
from tune_ode.cli.options import (
    Budgets,
    By,
    Cases,
    Clock,
    Config,
    DataDir,
    Dataset,
    Every,
    Fix,
    Floor,
    Output,
    Run,
    Runs,
    Samplers,
    Schedulers,
    Seed,
    Seeds,
    Targets,
    TimeBudget,
    Top,
    TrainImages,
    Trials,
    TrialSeconds,
)

if TYPE_CHECKING:
    from tune_ode.replication.compare_plan import CompareOptions


@app.command()
def rank(
    runs: Runs,
    by: By = "accuracy_per_second",
    floor: Floor = None,
    targets: Targets = None,
    budgets: Budgets = None,
    clock: Clock = "isolated",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a trial.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
) -> None:
    """Print the ranking of a run's trials, or of several runs' together."""
    from analysis.load import load_run
    from analysis.metrics import parse_ladder, parse_target
    from analysis.rank import rank as rank_runs
    from tune_ode.text import parse_duration

    ranking = rank_runs(
        [load_run(run) for run in runs],
        by=by,
        floor=floor,
        clock=clock,
        targets=parse_ladder(targets, parse_target),
        budgets=parse_ladder(budgets, parse_duration),
    )
    if as_json:
        rows = [json.dumps(row, allow_nan=False) for row in ranking.to_records()]
        print("[\n" + ",\n".join(rows) + "\n]")
    elif as_csv:
        print(ranking.to_csv(), end="")
    else:
        from tune_ode.cli.ranking_table import print_ranking

        print_ranking(ranking, new_console(), limit=None)


@app.command()
def report(
    run: Run,
    by: By = "accuracy_per_second",
    floor: Floor = None,
    targets: Targets = None,
    budgets: Budgets = None,
    clock: Clock = "isolated",
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it anew until the search has ended.")
    ] = False,
    every: Every = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write it to; by default RUN/report.")
    ] = None,
) -> None:
    """Write RUN/report: a page, its plots, the ranking as CSV and JSON."""
    from analysis.metrics import parse_ladder, parse_target
    from analysis.report import watch_report, write_report
    from tune_ode.text import parse_duration

    options: dict[str, Any] = {
        "by": by,
        "floor": floor,
        "clock": clock,
        "targets": parse_ladder(targets, parse_target),
        "budgets": parse_ladder(budgets, parse_duration),
        "output": output,
    }
    if watch:
        watch_report(run, every=10.0 if every is None else every, told=print, **options)
    else:
        print(write_report(run, **options))


@app.command()
def confirm(
    run: Run,
    top: Top = None,
    seeds: Seeds = None,
    check: Annotated[bool, typer.Option("--check", help="Print the plan, run nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a configuration, on standard output.")
    ] = False,
) -> None:
    """Train a run's best trials, and its default, on fresh seeds; score them on the test set."""
    from tune_ode.cli.confirm_output import print_confirmation_plan, print_confirmation_result
    from tune_ode.cli.display.replication import ConfirmDisplay
    from tune_ode.paths import persistent_path
    from tune_ode.replication.confirm import confirm as confirm_run
    from tune_ode.replication.confirm import locked
    from tune_ode.replication.confirm_plan import plan_confirmation

    console = new_console(stderr=as_json)
    place = persistent_path(run)
    with locked(place):
        with prepared(console) as progress:
            chosen = plan_confirmation(place, top=top, seeds=seeds, progress=progress)
        print_confirmation_plan(chosen, console)
        if check:
            return
        with ConfirmDisplay(console) as display:
            end = confirm_run(chosen, display.watch)
        print_confirmation_result(chosen, end, console, as_json=as_json)


@app.command()
def compare(
    config: Config = None,
    dataset: Dataset = "mnist",
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    cases: Cases = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each; 2 or more: intervals.")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 5,
    fix: Fix = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run; by default the same for the same question.")
    ] = None,
    output: Output = "runs",
    check: Annotated[bool, typer.Option("--check", help="Print the plan, run nothing.")] = False,
) -> None:
    """Compare solvers and gradients on the classic network: seconds, evaluations, accuracy."""
    from tune_ode.cli.resolve import fixed_settings
    from tune_ode.replication.cases import CLASSIC
    from tune_ode.replication.compare_plan import CompareOptions

    question = CompareOptions(
        dataset=dataset,
        data_dir=None if data_dir is None else str(data_dir),
        train_images=train_images,
        cases=cases or [CLASSIC],
        seeds=seeds,
        epochs=epochs,
        fix=fixed_settings(fix),
        name=name,
        output=output,
    )
    run_comparison(question, check=check)


def run_comparison(question: CompareOptions, *, check: bool = False) -> None:
    """Start a comparison, or go on with one; print what it found."""
    from tune_ode.cli.compare_output import print_comparison_plan, print_comparison_result
    from tune_ode.cli.display.replication import ConfirmDisplay
    from tune_ode.replication.compare import compare as compare_cases
    from tune_ode.replication.compare_plan import plan_comparison

    console = new_console()
    with prepared(console) as progress:
        chosen = plan_comparison(question, progress=progress)
    print_comparison_plan(chosen, console)
    if check:
        return
    with ConfirmDisplay(console) as display:
        end = compare_cases(chosen, display.watch)
    print_comparison_result(chosen, end, console)


@app.command()
def simulate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|TABLE.jsonl", help="Whose learning curves answer: a run, or a table."
        ),
    ],
    config: Config = None,
    space: Annotated[
        str | None, typer.Option(metavar="NAME|FILE.yaml", help="Space of a table; else quick.")
    ] = None,
    samplers: Samplers = None,
    schedulers: Schedulers = None,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    trial_seconds: TrialSeconds = None,
    objective: Annotated[str, typer.Option(help="As for search.")] = "anytime",
    workers: Annotated[int, typer.Option(min=1, help="Trials at once.")] = 2,
    repetitions: Annotated[int, typer.Option(min=1, help="Searches of each pair.")] = 100,
    targets: Targets = None,
    seed: Seed = 0,
    name: Annotated[
        str | None, typer.Option(help="Name of the folder; by default the recording's.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to make it in.")] = Path("simulations"),
) -> None:
    """Compare samplers and schedulers on recorded learning curves, in seconds."""
    from analysis.metrics import parse_ladder, parse_target
    from tune_ode.cli.simulate_output import run_simulation
    from tune_ode.simulation.simulate import SimulationOptions
    from tune_ode.tuning.options import DEFAULT_BUDGET_SECONDS

    if trials is None and time_budget is None:
        time_budget = DEFAULT_BUDGET_SECONDS
    question = SimulationOptions.from_dict(
        {
            "source": source,
            "space": space,
            "samplers": samplers or ["tpe", "random"],
            "schedulers": schedulers or ["seconds", "none"],
            "workers": workers,
            "repetitions": repetitions,
            "trials": trials,
            "time_budget": time_budget,
            "trial_seconds": trial_seconds,
            "objective": objective,
            "seed": seed,
        }
    )
    folder = output / (name or Path(source.rstrip("/")).stem)
    run_simulation(question, folder, parse_ladder(targets, parse_target), new_console())
