"""The commands. Each imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_ode import __version__
from tune_ode.cli.options import (
    Address,
    Budgets,
    By,
    Calibrate,
    Cases,
    Clock,
    Config,
    Configuration,
    CpusPerTrial,
    DataDir,
    Dataset,
    Every,
    Fix,
    Floor,
    GpuHours,
    GpusPerTrial,
    LogTo,
    MaxConcurrent,
    Name,
    Narrow,
    Output,
    Precision,
    Profile,
    Run,
    Runs,
    Samplers,
    Schedulers,
    Seed,
    Seeds,
    SpaceName,
    StartFrom,
    Storage,
    TargetAccuracy,
    Targets,
    TimeBudget,
    Top,
    TrainImages,
    Trials,
    TrialSeconds,
    TrialTimeout,
    Verbose,
)
from tune_ode.errors import QuestionError

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.compare_plan import CompareQuestion
    from tune_ode.tuning.launch import SearchEnd
    from tune_ode.tuning.plan import Plan

app = typer.Typer(
    name="tune-ode",
    help="Find the neural-ODE classifier that buys the most accuracy per second of training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"tune-ode {__version__}")
        raise typer.Exit


@app.command()
def search(
    config: Config = None,
    dataset: Dataset = "digits",
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    space: SpaceName = "quick",
    fix: Fix = None,
    narrow: Narrow = None,
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
    from tune_ode.cli.names import assigned, fixed_settings

    chosen = _plan(
        dataset=dataset,
        data_dir=data_dir,
        train_images=train_images,
        space=space,
        fix=fixed_settings(fix, precision),
        narrow=assigned("--set", narrow),
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
    console = _console()
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
        from tune_ode.cli.jobs import resume_job

        resume_job(context, address, str(run))
        return
    from tune_ode.tuning.compare_plan import comparison_in
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
    if (comparison := comparison_in(run)) is not None:
        if changes:
            raise QuestionError(
                f"{run} is a comparison, which has no --{next(iter(changes)).replace('_', '-')}"
            )
        _compare(comparison)
        return
    console = _console()
    end = resume_run(run, console, changes=changes, verbose=verbose)
    _conclude(end, console, profile=profile)


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
    from analysis.measures import parse_budget, parse_ladder, parse_target
    from analysis.rank import rank as rank_runs

    ranking = rank_runs(
        [load_run(run) for run in runs],
        by=by,
        floor=floor,
        clock=clock,
        targets=parse_ladder(targets, parse_target),
        budgets=parse_ladder(budgets, parse_budget),
    )
    if as_json:
        rows = [json.dumps(row, allow_nan=False) for row in ranking.to_records()]
        print("[\n" + ",\n".join(rows) + "\n]")
    elif as_csv:
        print(ranking.to_csv(), end="")
    else:
        from tune_ode.cli.ranking_table import print_ranking

        print_ranking(ranking, _console(), limit=None)


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
    from analysis.measures import parse_budget, parse_ladder, parse_target
    from analysis.report import watch_report, write_report

    options: dict[str, Any] = {
        "by": by,
        "floor": floor,
        "clock": clock,
        "targets": parse_ladder(targets, parse_target),
        "budgets": parse_ladder(budgets, parse_budget),
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
    from analysis.place import lasting_place
    from tune_ode.cli.confirm_output import conclude_confirmation, describe_confirmation
    from tune_ode.tuning.confirm import confirm as confirm_run
    from tune_ode.tuning.confirm import locked
    from tune_ode.tuning.confirm_display import ConfirmDisplay
    from tune_ode.tuning.confirm_plan import plan_confirmation

    console = _console(stderr=as_json)
    place = lasting_place(run)
    with locked(place):
        with _prepared(console) as progress:
            chosen = plan_confirmation(place, top=top, seeds=seeds, progress=progress)
        describe_confirmation(chosen, console)
        if check:
            return
        with ConfirmDisplay(console) as display:
            end = confirm_run(chosen, display.watch)
        conclude_confirmation(chosen, end, console, as_json=as_json)


@app.command()
def spaces(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE.yaml|package.module:NAME]", help="A space to print as a tree."
        ),
    ] = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print it as YAML, to start one's own.")
    ] = False,
) -> None:
    """List what can be searched, or print one space."""
    from search_spaces import find_space, to_yaml
    from tune_ode.cli.space_tree import print_space, print_spaces

    if name is None and as_yaml:
        raise typer.BadParameter("--yaml needs the name of a space")
    if name is None:
        print_spaces(_console())
    elif as_yaml:
        print(to_yaml(find_space(name)), end="")
    else:
        print_space(find_space(name), name, _console())


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe to print.")] = None,
) -> None:
    """List configurations known to be good, or print one as YAML."""
    from search_spaces.recipes import about, recipe_text
    from search_spaces.recipes import recipes as all_recipes

    if name is not None:
        print(recipe_text(name), end="")
        return
    width = max(map(len, all_recipes()))
    for known in all_recipes():
        print(f"{known:<{width}}  {about(known)}")


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
    from tune_ode.cli.names import configuration as named_configuration
    from tune_ode.cli.names import fixed_settings
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
    base = base.with_values(changes | fixed_settings(fix, precision))
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
    console = _console()
    _describe(chosen, console)
    _conclude(start(chosen, console), console)


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
    from tune_ode.cli.names import fixed_settings
    from tune_ode.tuning.cases import CLASSIC
    from tune_ode.tuning.compare_plan import CompareQuestion

    question = CompareQuestion(
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
    _compare(question, check=check)


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
    from analysis.measures import parse_ladder, parse_target
    from tune_ode.cli.simulate_output import run_simulation
    from tune_ode.simulation.simulate import SimulationQuestion
    from tune_ode.tuning.question import DEFAULT_BUDGET_SECONDS

    if trials is None and time_budget is None:
        time_budget = DEFAULT_BUDGET_SECONDS
    question = SimulationQuestion.from_dict(
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
    run_simulation(question, folder, parse_ladder(targets, parse_target), _console())


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="RUN:TRIAL", help="TRIAL may be `best`.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an image.")] = False,
) -> None:
    """Print class and probability of images, by a saved model."""
    from tune_ode.cli.names import run_and_trial
    from tune_ode.prediction import predict as predict_images

    run, trial = run_and_trial(model)
    for prediction in predict_images(run, trial, images):
        print(json.dumps(prediction.to_dict()) if as_json else prediction)


@app.command()
def draw(
    model: Configuration = None,
    dataset: Annotated[str | None, typer.Option(help="Another data set than it names.")] = None,
    data_dir: DataDir = None,
    output: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("pictures"),
) -> None:
    """Draw a network's architecture; of a trained one, the paths of states over t as well."""
    from analysis.place import shown
    from tune_ode.cli.names import configuration, is_configuration, run_and_trial
    from tune_ode.config import TrialConfig
    from tune_ode.pictures.draw import draw_configuration, draw_trial

    if model is None or is_configuration(model):
        config = configuration(model) if model else TrialConfig()
        changes = {} if dataset is None else {"data.dataset": dataset}
        drawn = draw_configuration(config.with_values(changes), data_dir, output)
    elif dataset is not None:
        raise QuestionError(f"{model} was trained on its own data: leave out --dataset")
    else:
        drawn = draw_trial(*run_and_trial(model), data_dir, output)
    for file in drawn:
        print(f"drawn     {shown(file)}")


# --- what commands share ------------------------------------------------------------------------


def _plan(base: Any = None, **options: Any) -> Plan:
    from tune_ode.tuning.plan import plan
    from tune_ode.tuning.question import Question

    plain = {
        option: str(value) if isinstance(value, Path) else value
        for option, value in options.items()
    }
    with _prepared(_console()) as progress:
        return plan(Question.from_dict(plain), base=base, progress=progress)


def _compare(question: CompareQuestion, *, check: bool = False) -> None:
    from tune_ode.cli.compare_output import conclude_comparison, describe_comparison
    from tune_ode.tuning.compare import compare as compare_cases
    from tune_ode.tuning.compare_plan import plan_comparison
    from tune_ode.tuning.confirm_display import ConfirmDisplay

    console = _console()
    with _prepared(console) as progress:
        chosen = plan_comparison(question, progress=progress)
    describe_comparison(chosen, console)
    if check:
        return
    with ConfirmDisplay(console) as display:
        end = compare_cases(chosen, display.watch)
    conclude_comparison(chosen, end, console)


@contextmanager
def _prepared(console: Console) -> Iterator[Callable[[str, float], None]]:
    with console.status("preparing …") as status:
        yield lambda what, share: status.update(f"{what}: {share:.0%}")


def _describe(chosen: Plan, console: Console) -> None:
    from tune_ode.cli.plan_output import describe

    describe(chosen, console)


def _conclude(end: SearchEnd, console: Console, *, profile: bool = False) -> None:
    from tune_ode.cli.output import conclude

    conclude(end, console, profile=profile)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    # a cell of a notebook passes for a terminal, but shows every step that its cursor takes back
    in_a_notebook = "JPY_PARENT_PID" in os.environ
    return Console(stderr=stderr, force_terminal=False if in_a_notebook else None)
