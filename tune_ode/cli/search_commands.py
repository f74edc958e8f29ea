"""The commands that train what was asked: search, resume, train."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_ode.cli.app import app, new_console, preparing
from tune_ode.cli.options import (
    Address,
    Calibrate,
    Config,
    Configuration,
    CpusPerTrial,
    DataDir,
    Dataset,
    Fix,
    GpuHours,
    GpusPerTrial,
    LogTo,
    MaxConcurrent,
    Name,
    Output,
    Precision,
    Profile,
    Restrict,
    Run,
    Seed,
    SpaceName,
    StartFrom,
    Storage,
    TargetAccuracy,
    TimeBudget,
    TrainImages,
    Trials,
    TrialSeconds,
    TrialTimeout,
    Verbose,
)
from tune_ode.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.launch import SearchResult
    from tune_ode.tuning.plan import Plan


@app.command()
def search(
    config: Config = None,
    dataset: Dataset = "digits",
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    space: SpaceName = "quick",
    fix: Fix = None,
    restrict: Restrict = None,
    start_from: StartFrom = None,
    precision: Precision = None,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    trial_seconds: TrialSeconds = None,
    gpu_hours: GpuHours = None,
    target_accuracy: TargetAccuracy = None,
    trial_timeout: TrialTimeout = None,
    objective: Annotated[
        str, typer.Option(help="anytime (accuracy over log-seconds), accuracy or pareto (both).")
    ] = "anytime",
    sampler: Annotated[
        str,
        typer.Option(help="tpe, tpe-cost (weighs seconds), random, or package.module:factory."),
    ] = "tpe",
    scheduler: Annotated[
        str, typer.Option(help="Stop bad trials early, at equal seconds or epochs; or none.")
    ] = "seconds",
    storage: Storage = None,
    log_to: LogTo = None,
    seed: Seed = 0,
    name: Name = None,
    output: Output = "runs",
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    address: Address = None,
    calibrate: Calibrate = True,
    check: Annotated[bool, typer.Option("--check", help="Print the plan, run nothing.")] = False,
    profile: Profile = False,
    verbose: Verbose = False,
) -> None:
    """Search; with no options: digits, the quick space, a few minutes on two CPU cores."""
    from tune_ode.cli.resolve import parse_assignments, parse_fix

    chosen = _plan(
        dataset=dataset,
        data_dir=data_dir,
        train_images=train_images,
        space=space,
        fix=parse_fix(fix, precision),
        restrict=parse_assignments("--set", restrict),
        start_from=start_from or [],
        trials=trials,
        time_budget=time_budget,
        trial_seconds=trial_seconds,
        gpu_hours=gpu_hours,
        target_accuracy=target_accuracy,
        trial_timeout=trial_timeout,
        objective=objective,
        sampler=sampler,
        scheduler=scheduler,
        storage=storage,
        log_to=log_to or [],
        seed=seed,
        name=name,
        output=output,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        max_concurrent=max_concurrent,
        address=address,
        calibrate=calibrate,
    )
    console = new_console()
    _describe(chosen, console)
    if check:
        return
    from tune_ode.tuning.launch import start

    _conclude(start(chosen, console, verbose=verbose), console, profile=profile)


@app.command()
def resume(
    context: typer.Context,
    run: Run,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    gpu_hours: GpuHours = None,
    target_accuracy: TargetAccuracy = None,
    trial_timeout: TrialTimeout = None,
    storage: Storage = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|auto|local|http://HOST:8265",
            help="Another cluster, or none: local. With http:// as a job; RUN is its ID or folder.",
        ),
    ] = None,
    profile: Profile = False,
    verbose: Verbose = False,
) -> None:
    """Continue an interrupted search, or comparison."""
    if address is not None and address.startswith(("http://", "https://")):
        from tune_ode.cli.job_submission import resume_job

        resume_job(context, address, str(run))
        return
    from tune_ode.replication.compare_plan import comparison_options
    from tune_ode.tuning.launch import resume as resume_run

    asked = {
        "trials": trials,
        "time_budget": time_budget,
        "gpu_hours": gpu_hours,
        "target_accuracy": target_accuracy,
        "trial_timeout": trial_timeout,
        "storage": storage,
        "address": address,
    }
    changes = {option: value for option, value in asked.items() if value is not None}
    if (comparison := comparison_options(run)) is not None:
        if changes:
            raise UsageError(
                f"{run} is a comparison, which has no --{next(iter(changes)).replace('_', '-')}"
            )
        from tune_ode.cli.analysis_commands import run_comparison

        run_comparison(comparison)
        return
    console = new_console()
    end = resume_run(run, console, changes=changes, verbose=verbose)
    _conclude(end, console, profile=profile)


@app.command()
def train(
    configuration: Configuration = None,
    config: Config = None,
    dataset: Annotated[str | None, typer.Option(help="Another data set than it names.")] = None,
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    fix: Fix = None,
    precision: Precision = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed than it names.")] = None,
    name: Name = None,
    output: Output = "runs",
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
) -> None:
    """Train one configuration, and score it on the test set once."""
    from tune_ode.cli.resolve import parse_fix
    from tune_ode.cli.resolve import resolve_config as named_configuration
    from tune_ode.config import TrialConfig
    from tune_ode.tuning.launch import start

    base = named_configuration(configuration) if configuration else TrialConfig()
    changes: dict[str, Any] = {
        path: value
        for path, value in (
            ("data.dataset", dataset),
            ("data.train_images", train_images),
            ("seed", seed),
        )
        if value is not None
    }
    base = base.with_values(changes | parse_fix(fix, precision))
    chosen = _plan(
        base=base,
        command="train",
        dataset=base.data.dataset,
        data_dir=data_dir,
        train_images=base.data.train_images,
        name=name,
        output=output,
        cpus_per_trial=cpus_per_trial or len(os.sched_getaffinity(0)),
        gpus_per_trial=gpus_per_trial,
    )
    console = new_console()
    _describe(chosen, console)
    _conclude(start(chosen, console), console)


def _plan(base: Any = None, **options: Any) -> Plan:
    from tune_ode.tuning.options import SearchOptions
    from tune_ode.tuning.plan import plan_search

    plain = {
        option: str(value) if isinstance(value, Path) else value
        for option, value in options.items()
    }
    with preparing(new_console()) as progress:
        return plan_search(SearchOptions.from_dict(plain), base=base, progress=progress)


def _describe(chosen: Plan, console: Console) -> None:
    from tune_ode.cli.plan_output import print_plan

    print_plan(chosen, console)


def _conclude(end: SearchResult, console: Console, *, profile: bool = False) -> None:
    from tune_ode.cli.output import print_result

    print_result(end, console, profile=profile)
