"""Commands that start and resume searches and trainings: search, resume, train."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from tune_ode.cli.app import app, new_console, preparing
from tune_ode.cli.notification import notification, notify_is_given
from tune_ode.cli.options.analysis import Run
from tune_ode.cli.options.definition import (
    Configuration,
    DataDir,
    Dataset,
    Fix,
    Groups,
    MovedDataset,
    Objective,
    OtherDataset,
    Precision,
    Restrict,
    Sampler,
    Scheduler,
    Seed,
    SkipBroken,
    SpaceName,
    StartFrom,
    TrainImages,
    TrainSeed,
    Validation,
)
from tune_ode.cli.options.execution import (
    Address,
    Calibrate,
    Check,
    Config,
    CpusPerTrial,
    GpuHours,
    GpusPerTrial,
    InstantsPerDecade,
    LogTo,
    MaxConcurrent,
    Name,
    Notify,
    Output,
    Patience,
    Profile,
    ResumeAddress,
    Storage,
    TargetAccuracy,
    TimeBudget,
    Trials,
    TrialSeconds,
    TrialTimeout,
    Trust,
    Verbose,
)
from tune_ode.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.config import TrialConfig
    from tune_ode.paths import RunPath
    from tune_ode.tuning.display import Display
    from tune_ode.tuning.launch import DisplayFactory
    from tune_ode.tuning.options import SearchOptions
    from tune_ode.tuning.plan import Plan
    from tune_ode.tuning.search.search import Search


@app.command()
def search(
    context: typer.Context,
    config: Config = None,
    dataset: Dataset = "digits",
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    skip_broken: SkipBroken = False,
    validation: Validation = None,
    groups: Groups = None,
    space: SpaceName = "quick",
    fix: Fix = None,
    restrict: Restrict = None,
    start_from: StartFrom = None,
    precision: Precision = None,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    trial_seconds: TrialSeconds = None,
    instants_per_decade: InstantsPerDecade = 8,
    gpu_hours: GpuHours = None,
    target_accuracy: TargetAccuracy = None,
    patience: Patience = None,
    trial_timeout: TrialTimeout = None,
    objective: Objective = "anytime",
    sampler: Sampler = "tpe",
    scheduler: Scheduler = "seconds",
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
    check: Check = False,
    notify: Notify = None,
    trust: Trust = False,
    profile: Profile = False,
    verbose: Verbose = False,
) -> None:
    """Search; without options, digits in the quick space for four minutes."""
    from tune_ode.cli.resolve import search_options

    console = new_console()
    plan = _plan(search_options(context), console)
    if check:
        return
    from tune_ode.cli.display.result import print_result
    from tune_ode.tuning.launch import start

    with notification(notify, plan.run_folder):
        result = start(plan, display=_display(console), verbose=verbose)
        print_result(result, console, profile=profile)


@app.command()
def resume(
    context: typer.Context,
    run: Run,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    gpu_hours: GpuHours = None,
    target_accuracy: TargetAccuracy = None,
    patience: Patience = None,
    trial_timeout: TrialTimeout = None,
    dataset: MovedDataset = None,
    data_dir: DataDir = None,
    storage: Storage = None,
    log_to: LogTo = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    address: ResumeAddress = None,
    check: Check = False,
    notify: Notify = None,
    trust: Trust = False,
    profile: Profile = False,
    verbose: Verbose = False,
) -> None:
    """Resume an interrupted search, training or comparison, also on another machine."""
    if address is not None and address.startswith(("http://", "https://")):
        from tune_ode.cli.commands.job_submission import resume_job

        resume_job(context, address, str(run))
        return
    from tune_ode.catalog.find import resolve_run
    from tune_ode.cli.resolve import given_values
    from tune_ode.records import COMPARE, read_manifest
    from tune_ode.tuning.options import SearchOptions

    changes = given_values(context, SearchOptions)
    path = resolve_run(run, persistent=True, command="tune-ode resume")
    command = read_manifest(path).options.get("command", "search")
    given = [*changes, "notify"] if notify_is_given(context) else changes
    _check_options_of(context, command, given)
    if command == COMPARE:
        from tune_ode.cli.commands.replication import run_comparison
        from tune_ode.replication.compare_plan import comparison_options

        run_comparison(comparison_options(path, changes, trust=trust), check=check)
        return
    console = new_console()
    if check:
        from tune_ode.cli.display.plan import print_plan
        from tune_ode.tuning.launch import plan_resume

        with plan_resume(path, changes=changes, trust=trust) as (_, plan):
            print_plan(plan, console)
        return
    from tune_ode.cli.display.result import print_result
    from tune_ode.tuning.launch import resume as resume_run

    with notification(notify, path):
        result = resume_run(
            path, display=_display(console), changes=changes, trust=trust, verbose=verbose
        )
        print_result(result, console, profile=profile)


@app.command()
def train(
    context: typer.Context,
    configuration: Configuration = None,
    config: Config = None,
    dataset: OtherDataset = None,
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    skip_broken: SkipBroken = False,
    validation: Validation = None,
    groups: Groups = None,
    fix: Fix = None,
    precision: Precision = None,
    seed: TrainSeed = None,
    name: Name = None,
    output: Output = "runs",
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    check: Check = False,
    trust: Trust = False,
) -> None:
    """Train one configuration, and evaluate it once on the test set."""
    from tune_ode.api.training_request import training_request
    from tune_ode.cli.display.result import print_result
    from tune_ode.cli.resolve import given_values, parse_fix
    from tune_ode.tuning.launch import start
    from tune_ode.tuning.options import SearchOptions

    values = given_values(context, SearchOptions)
    values["fix"] = parse_fix(fix, precision, skip_broken)
    request = training_request(configuration, values)
    console = new_console()
    plan = _plan(request.options, console, request.base, request.base_from)
    if check:
        return
    result = start(plan, display=_display(console))
    print_result(result, console)


def _check_options_of(context: typer.Context, command: str, given: Iterable[str]) -> None:
    """Check that the command that started a run has the options that a resume changes."""
    assert context.parent is not None
    commands = context.parent.command.commands  # type: ignore[attr-defined]
    known = {parameter.name for parameter in commands[command].params}
    for name in given:
        if name not in known:
            raise UsageError(
                f"--{name.replace('_', '-')} is not an option of `tune-ode {command}`, which "
                f"started {context.params['run']}; leave it out"
            )


def _plan(
    options: SearchOptions,
    console: Console,
    base: TrialConfig | None = None,
    base_from: RunPath | None = None,
) -> Plan:
    """Plan a search or training, and print the plan."""
    from tune_ode.cli.display.plan import print_plan
    from tune_ode.tuning.plan import plan_search

    with preparing(new_console()) as progress:
        plan = plan_search(options, base=base, base_from=base_from, progress=progress)
    print_plan(plan, console)
    return plan


def _display(console: Console) -> DisplayFactory:
    """Return a function that creates the live display of a search or training."""
    from tune_ode.cli.display.search import SearchDisplay
    from tune_ode.cli.display.training import TrainingDisplay

    def create(search: Search, plan: Plan) -> Display:
        if plan.options.command == "train":
            return TrainingDisplay(search, plan.base.training.epochs, console)
        return SearchDisplay(search, console)

    return create
