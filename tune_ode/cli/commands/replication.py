"""Commands that train or replay again: confirm, compare, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tune_ode.cli.app import app, new_console, preparing
from tune_ode.cli.options.analysis import (
    CaseSeeds,
    Epochs,
    Json,
    Repetitions,
    Run,
    Seeds,
    Source,
    Targets,
    Top,
)
from tune_ode.cli.options.definition import (
    Cases,
    DataDir,
    Dataset,
    Fix,
    MovedDataset,
    Objective,
    Samplers,
    Schedulers,
    Seed,
    SkipBroken,
    TableSpace,
    TrainImages,
)
from tune_ode.cli.options.execution import (
    Check,
    Config,
    CpusPerTrial,
    GpusPerTrial,
    Name,
    Output,
    OutputFolder,
    Patience,
    TimeBudget,
    Trials,
    TrialSeconds,
    Trust,
    Workers,
)

if TYPE_CHECKING:
    from tune_ode.replication.compare_plan import CompareOptions


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
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Retrain a run's best trials, and its default, with new seeds; evaluate on the test set."""
    from tune_ode.catalog.find import resolve_run
    from tune_ode.cli.display.replication import ReplicationDisplay
    from tune_ode.cli.display.replication_result import (
        print_confirmation_plan,
        print_confirmation_result,
    )
    from tune_ode.cli.display.result import interruption
    from tune_ode.cli.resolve import given_values
    from tune_ode.paths import shell_quoted
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
        with interruption(f"to continue: tune-ode confirm {shell_quoted(path)}"):
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
    seeds: CaseSeeds = 1,
    epochs: Epochs = 5,
    fix: Fix = None,
    name: Name = None,
    output: Output = "runs",
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    trust: Trust = False,
    check: Check = False,
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
    from tune_ode.cli.display.result import interruption
    from tune_ode.paths import shell_quoted
    from tune_ode.replication.compare_plan import plan_comparison
    from tune_ode.replication.train import train_all

    console = new_console()
    with preparing(console) as progress:
        plan = plan_comparison(options, progress=progress)
    print_comparison_plan(plan, console)
    if check:
        return
    with interruption(f"to continue: tune-ode resume {shell_quoted(plan.folder)}"):
        with ReplicationDisplay(console) as display:
            result = train_all(plan, display.watch)
        print_comparison_result(plan, result, console)


@app.command()
def simulate(
    context: typer.Context,
    source: Source,
    config: Config = None,
    space: TableSpace = None,
    samplers: Samplers = None,
    schedulers: Schedulers = None,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    patience: Patience = None,
    trial_seconds: TrialSeconds = None,
    objective: Objective = "anytime",
    workers: Workers = 2,
    repetitions: Repetitions = 100,
    targets: Targets = None,
    seed: Seed = 0,
    name: Name = None,
    output: OutputFolder = Path("simulations"),
    check: Check = False,
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
    run_simulation(
        options, folder, parse_thresholds(targets, parse_target), new_console(), check=check
    )
