"""The command line. Each command imports what it needs when it runs, so that `--help` is instant.

Exit status: 0 success; 1 the run failed; 2 the question was wrong, said in one line before anything
starts; 130 interrupted, with the command that resumes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from tune_ode import __version__
from tune_ode.errors import QuestionError, TuneOdeError, unknown_name

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.question import Plan

app = typer.Typer(
    name="tune-ode",
    help="Find the neural-ODE classifier that buys the most accuracy per second of training.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command line; the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit status.

    Every error a user can meet is said in one line on stderr.
    """
    try:
        _check_neighbours()
        status = app(arguments, prog_name="tune-ode", standalone_mode=False)
        return int(status or 0)
    except TyperException as error:
        return _say(_usage(error), 2)
    except QuestionError as error:
        return _say(str(error), 2)
    except TuneOdeError as error:
        return _say(str(error), 1)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:
        # the reader of a pipe, `head` say, has gone; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


# --- options ------------------------------------------------------------------------------------


def _duration(text: str) -> float:
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if not text.strip() or match is None:
        raise typer.BadParameter(f"a duration such as 90s, 6m, 1h30m, found '{text}'")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Dataset = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="digits, mnist, fashion-mnist, cifar10, cifar100, svhn, tiny-imagenet, folder:PATH",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where data sets lie or are put; also TUNE_ODE_DATA.")
]
TrainImages = Annotated[
    int | None, typer.Option(min=1, help="Train on a stratified subset of so many images.")
]
Fix = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Give a setting a value; it is not searched then."),
]
Trials = Annotated[int | None, typer.Option(min=1, help="Trials in all.")]
TimeBudget = Annotated[
    float | None,
    typer.Option(parser=_duration, metavar="TIME", help="Seconds to search, or 90s, 6m, 1h30m."),
]
TrialSeconds = Annotated[
    float | None,
    typer.Option(parser=_duration, metavar="TIME", help="Training time one trial may use."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of proposals, splits and trainings.")]
Name = Annotated[str | None, typer.Option(help="Name of the run; by default data, space, time.")]
Output = Annotated[Path, typer.Option(help="Folder that run folders are made in.")]
CpusPerTrial = Annotated[int | None, typer.Option(help="CPU cores, and threads, of a trial.")]
GpusPerTrial = Annotated[float | None, typer.Option(help="GPUs of a trial; 0.25: four share one.")]
MaxConcurrent = Annotated[int | None, typer.Option(help="Trials at once; by default what fits.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Let Ray speak.")]
By = Annotated[str, typer.Option(help="accuracy_per_second, anytime, accuracy or seconds.")]
Floor = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Least accuracy to be ranked; by default 0.05 under the best."),
]
Clock = Annotated[str, typer.Option(help="train (training only) or wall (everything counted).")]


# --- commands -----------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"tune-ode {__version__}")
        raise typer.Exit


@app.command()
def search(
    dataset: Dataset = "digits",
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    space: Annotated[str, typer.Option(help="What to search; see `tune-ode spaces`.")] = "quick",
    fix: Fix = None,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    trial_seconds: TrialSeconds = None,
    sampler: Annotated[str, typer.Option(help="tpe or random.")] = "tpe",
    scheduler: Annotated[
        str, typer.Option(help="seconds (stop bad trials early) or none.")
    ] = "seconds",
    seed: Seed = 0,
    name: Name = None,
    output: Output = Path("runs"),
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    check: Annotated[bool, typer.Option("--check", help="Print the plan, run nothing.")] = False,
    verbose: Verbose = False,
) -> int:
    """Search; with no options: digits, the quick space, a few minutes on two CPU cores."""
    chosen = _plan(
        dataset=dataset,
        data_dir=data_dir,
        train_images=train_images,
        space=space,
        fix=_fixed(fix),
        trials=trials,
        time_budget=time_budget,
        trial_seconds=trial_seconds,
        sampler=sampler,
        scheduler=scheduler,
        seed=seed,
        name=name,
        output=output,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        max_concurrent=max_concurrent,
    )
    console = _console()
    _describe(chosen, console)
    if check:
        return 0
    from tune_ode.tuning.launch import start

    return _finish(start(chosen, console, verbose=verbose), console)


@app.command()
def resume(
    run: Run,
    trials: Trials = None,
    time_budget: TimeBudget = None,
    verbose: Verbose = False,
) -> int:
    """Continue an interrupted search."""
    from tune_ode.tuning.launch import resume as resume_run

    asked = {"trials": trials, "time_budget": time_budget}
    changes = {option: value for option, value in asked.items() if value is not None}
    console = _console()
    return _finish(resume_run(run, console, changes=changes, verbose=verbose), console)


@app.command()
def rank(
    run: Run,
    by: By = "accuracy_per_second",
    floor: Floor = None,
    clock: Clock = "train",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a trial.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
) -> None:
    """Print the ranking of a run's trials."""
    from analysis.load import load_run
    from analysis.rank import rank as rank_run

    ranking = rank_run(load_run(run), by=by, floor=floor, clock=clock)
    if as_json:
        rows = [json.dumps(row, allow_nan=False) for row in ranking.to_records()]
        print("[\n" + ",\n".join(rows) + "\n]")
    elif as_csv:
        print(ranking.to_csv(), end="")
    else:
        from tune_ode.ranking_table import print_ranking

        print_ranking(ranking, _console(), limit=None)


@app.command()
def report(
    run: Run, by: By = "accuracy_per_second", floor: Floor = None, clock: Clock = "train"
) -> None:
    """Write RUN/report: a page, its plots, the ranking as CSV and JSON."""
    from analysis.report import write_report

    print(write_report(run, by=by, floor=floor, clock=clock))


@app.command()
def spaces(
    name: Annotated[str | None, typer.Argument(help="A space to print as a tree.")] = None,
) -> None:
    """List what can be searched, or print one space."""
    from search_spaces import PRESETS, preset

    if name is not None:
        print(preset(name).tree())
        return
    for known, (_, what) in PRESETS.items():
        print(f"{known:<14}{what}")


@app.command()
def train(
    configuration: Annotated[
        str | None,
        typer.Argument(metavar="[YAML|RUN:TRIAL]", help="By default the default configuration."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Another data set than it names.")] = None,
    data_dir: DataDir = None,
    train_images: TrainImages = None,
    fix: Fix = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed than it names.")] = None,
    name: Name = None,
    output: Output = Path("runs"),
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
) -> int:
    """Train one configuration, and score it on the test set once."""
    from tune_ode.config import TrialConfig
    from tune_ode.tuning.launch import start

    config = _configuration(configuration) if configuration else TrialConfig()
    changes: dict[str, Any] = {
        path: value
        for path, value in (
            ("data.dataset", dataset),
            ("data.train_images", train_images),
            ("seed", seed),
        )
        if value is not None
    }
    config = config.with_values(changes | _fixed(fix))
    chosen = _plan(
        base=config,
        command="train",
        dataset=config.data.dataset,
        data_dir=data_dir,
        train_images=config.data.train_images,
        name=name,
        output=output,
        cpus_per_trial=cpus_per_trial or len(os.sched_getaffinity(0)),
        gpus_per_trial=gpus_per_trial,
    )
    console = _console()
    _describe(chosen, console)
    return _finish(start(chosen, console), console)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="RUN:TRIAL", help="TRIAL may be `best`.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an image.")] = False,
) -> None:
    """Print class and probability of images, by a saved model."""
    from tune_ode.prediction import predict as predict_images

    for prediction in predict_images(*_run_and_trial(model), images):
        print(json.dumps(prediction.to_dict()) if as_json else prediction)


# --- what commands share ------------------------------------------------------------------------


def _plan(base: Any = None, **options: Any) -> Plan:
    from tune_ode.tuning.question import Question, plan

    plain = {
        option: str(value) if isinstance(value, Path) else value
        for option, value in options.items()
    }
    console = _console()
    with console.status("preparing …") as status:

        def progress(what: str, share: float) -> None:
            status.update(f"{what}: {share:.0%}")

        return plan(Question.from_dict(plain), base=base, progress=progress)


def _describe(chosen: Plan, console: Console) -> None:
    question, limits, resources = chosen.question, chosen.limits, chosen.resources
    channels, height, width = chosen.shape
    lines = [
        f"data      {question.dataset}: {chosen.images} training images of "
        f"{channels}×{height}×{width}, {chosen.classes} classes",
    ]
    if question.command == "search":
        trials = f"{limits.trials} trials" if limits.trials else "trials without limit"
        until = f", {limits.seconds:g} s in all" if limits.seconds else ""
        lines += [
            f"search    space {question.space} ({sum(1 for _ in chosen.space.walk())} parameters), "
            f"sampler {question.sampler}, scheduler {question.scheduler}",
            f"budget    {trials}{until}, up to {limits.trial_seconds:.3g} s of training each",
            f"at once   {resources.max_concurrent} of {resources.cpus_per_trial} CPU core(s) and "
            f"{resources.gpus_per_trial:g} GPU each; this machine has {resources.cpus} and "
            f"{resources.gpus}",
        ]
    lines.append(f"run       {_shown(chosen.run_folder)}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _finish(end: Any, console: Console) -> int:
    from analysis.load import load_run
    from analysis.rank import rank as rank_run
    from analysis.report import write_report
    from tune_ode.ranking_table import print_ranking

    folder = _shown(end.run_folder)
    loaded = load_run(end.run_folder)
    if loaded.manifest.question.get("command") == "train":
        if not end.interrupted and len(loaded.lines):
            from tune_ode.prediction import score_on_test_set

            data_dir = loaded.manifest.question["data_dir"]
            score = score_on_test_set(end.run_folder, "0001", data_dir and Path(data_dir))
            console.print(
                f"test      accuracy {score.accuracy:.4f} on {score.images} images, by the model "
                "with the best validation accuracy",
                highlight=False,
                soft_wrap=True,
            )
    elif len(loaded.trials):
        print_ranking(rank_run(loaded), console, limit=15)
    if len(loaded.lines):
        page = write_report(end.run_folder)
        console.print(f"report    {_shown(page)}", highlight=False, soft_wrap=True)
    if end.interrupted:
        _say(f"interrupted; to continue: tune-ode resume {folder}", 130)
        return 130
    if end.stop_reason:
        console.print(f"ended early: {end.stop_reason}", highlight=False, soft_wrap=True)
    if len(loaded.lines) == 0:
        return _say(f"no trial was measured; see the reasons with: tune-ode rank {folder}", 1)
    return 0


def _configuration(name: str) -> Any:
    import yaml

    from tune_ode.config import TrialConfig
    from tune_ode.records import CONFIG, TRIALS, read_json

    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise QuestionError(f"cannot read {path}: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise QuestionError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise QuestionError(f"{path} must hold settings by name, such as `seed: 1`")
        return TrialConfig.from_dict(values)
    run, trial_id = _run_and_trial(name)
    setup = read_json(run / TRIALS / trial_id / CONFIG)
    if setup is None:
        raise QuestionError(f"{run} has no trial {trial_id}; see: tune-ode rank {run}")
    return TrialConfig.from_dict(setup["config"])


def _run_and_trial(name: str) -> tuple[Path, str]:
    from analysis.load import load_run
    from analysis.rank import rank as rank_run
    from tune_ode.records import MANIFEST, TRIALS

    run_name, colon, trial = name.rpartition(":")
    if not colon or (Path(name) / MANIFEST).exists():
        run_name, trial = name, "best"
    run = Path(run_name)
    if not (run / MANIFEST).exists():
        raise QuestionError(
            f"'{name}' is neither a YAML file nor RUN:TRIAL with RUN a run folder; "
            f"there is no {run / MANIFEST}"
        )
    if trial == "best":
        ranked = rank_run(load_run(run)).to_records()
        if not ranked or ranked[0]["rank"] is None:
            raise QuestionError(f"{run} has no ranked trial; see: tune-ode rank {run}")
        return run, str(ranked[0]["trial_id"])
    trial = trial.zfill(4)
    if not (run / TRIALS / trial).is_dir():
        raise QuestionError(f"{run} has no trial {trial}; see: tune-ode rank {run}")
    return run, trial


def _fixed(assignments: list[str] | None) -> dict[str, Any]:
    import yaml

    fixed = {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise QuestionError(f"--fix takes NAME=VALUE, found '{assignment}'")
        fixed[name.strip()] = yaml.safe_load(value)
    return fixed


def _console() -> Console:
    from rich.console import Console

    return Console()


def _shown(path: Path) -> str:
    """Return a path as a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _check_neighbours() -> None:
    here = Path(__file__).resolve().parent.parent
    for package in ("analysis", "search_spaces"):
        spec = importlib.util.find_spec(package)
        found = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if found != here:
            raise QuestionError(
                f"the package '{package}' must be tune-ode's own beside {here / 'tune_ode'}, but "
                f"Python finds {found or 'none'}; remove that folder from PYTHONPATH, or start "
                "from another folder"
            )


def _usage(error: TyperException) -> str:
    format_message = getattr(error, "format_message", None)
    message = str(format_message() if format_message else error)
    option = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if option and context is not None and "No such option" in message:
        options = [name for parameter in context.command.params for name in parameter.opts]
        return unknown_name("option", option, [name for name in options if name.startswith("--")])
    if context is not None and "No such command" in message:
        return f"{message} valid: {', '.join(context.command.commands)}"
    return message


def _say(message: str, status: int) -> int:
    print(f"tune-ode: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
