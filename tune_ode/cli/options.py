"""Options shared by commands, with the same name and meaning in each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune_ode.cli import notification
from tune_ode.cli.config_file import check_names, merge_with_file, read_options
from tune_ode.errors import UsageError
from tune_ode.text import parse_duration


def duration(text: str) -> float:
    """Parse a duration option; see `tune_ode.text.parse_duration`."""
    try:
        return parse_duration(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


DEFINING_OPTIONS = frozenset({
    "--space", "--fix", "--set", "--start-from", "--precision", "--train-images", "--validation",
    "--groups", "--skip-broken", "--trial-seconds", "--instants-per-decade", "--objective",
    "--sampler", "--scheduler", "--seed", "--cases", "--epochs",
})  # fmt: skip
"""Options that define what a run measures; all others say where and how long it executes."""

Configuration = Annotated[
    str | None,
    typer.Argument(
        metavar="[RECIPE|FILE.yaml|RUN:TRIAL]", help="The default configuration if omitted."
    ),
]
Dataset = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="digits, mnist, fashion-mnist, cifar10, cifar100, svhn, tiny-imagenet, folder:PATH",
    ),
]
MovedDataset = Annotated[
    str | None,
    typer.Option("--dataset", metavar="folder:PATH", help="Where the run's images are now."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Directory of data sets, and for downloads; also TUNE_ODE_DATA.")
]
TrainImages = Annotated[
    int | None, typer.Option(min=1, help="Size of a stratified subset to train on.")
]
SkipBroken = Annotated[
    bool,
    typer.Option("--skip-broken", help="Leave out images of folder:PATH that cannot be used."),
]
Validation = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of training images held out for validation. Default: valid/, or 0.2 to 0.4.",
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN|FILE",
        help="Keep images of a group in one part of a split: the group of a regular expression in "
        "file names, or a .csv, .tsv or .json file.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        is_eager=True,
        callback=read_options,
        help="Options of this command by name; the command line takes precedence.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        callback=check_names,
        help="Approve the code, servers and directories that the run or --config file names.",
    ),
]
SpaceName = Annotated[
    str,
    typer.Option(
        "--space",
        metavar="NAME|FILE.yaml|package.module:NAME",
        help="Search space; see `tune-ode spaces`.",
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        callback=merge_with_file,
        help="Set a field of the configuration; a search keeps it constant.",
    ),
]
Restrict = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=LOW..HIGH|NAME=A|B",
        callback=merge_with_file,
        help="Restrict a parameter: 16..64, 1e-4..1e-2,log, 0..0.4,step 0.1, or relu|gelu.",
    ),
]
StartFrom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RECIPE|FILE.yaml|RUN",
        callback=merge_with_file,
        help="Start with this configuration, or the best of a run; see `tune-ode recipes`.",
    ),
]
Cases = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METHOD:GRADIENT|resnet|classic",
        callback=merge_with_file,
        help="Case to compare; repeat, or separate by commas. classic: the default four.",
    ),
]
Samplers = Annotated[
    list[str] | None,
    typer.Option(
        "--sampler",
        callback=merge_with_file,
        help="Sampler, as for search; repeatable. Default: tpe and random, with each scheduler.",
    ),
]
Schedulers = Annotated[
    list[str] | None,
    typer.Option(
        "--scheduler",
        callback=merge_with_file,
        help="Scheduler, as for search; repeatable. Default: seconds and none.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(metavar="fp32|bf16", help="bf16: layers in half precision, solver state in fp32."),
]
Trials = Annotated[int | None, typer.Option(min=1, help="Maximum number of trials.")]
TimeBudget = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="Wall-clock seconds, or 90s, 6m, 1h30m."),
]
TrialSeconds = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="Maximum training time of a trial."),
]
InstantsPerDecade = Annotated[
    int,
    typer.Option(min=2, max=32, help="Reports of a trial per factor of ten in training seconds."),
]
GpuHours = Annotated[float | None, typer.Option(help="Maximum GPU hours of all trials.")]
TargetAccuracy = Annotated[
    float | None, typer.Option(min=0, max=1, help="Stop the search at this validation accuracy.")
]
Patience = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Stop the search when N trials have not improved the objective."
    ),
]
TrialTimeout = Annotated[
    float | None,
    typer.Option(
        parser=duration, metavar="TIME", help="Fail a trial that has not reported for this long."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of sampler, splits and trainings.")]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Database for the study: sqlite:///PATH or postgresql://…."),
]
LogTo = Annotated[
    list[str] | None,
    typer.Option(
        metavar="tensorboard|mlflow[:URI]|wandb[:PROJECT]",
        callback=merge_with_file,
        help="Also log metrics to this target.",
    ),
]
Name = Annotated[str | None, typer.Option(help="Name of the run. Default: data set, space, time.")]
Output = Annotated[str, typer.Option(help="Parent of the run directory; may be s3://… or gs://….")]
CpusPerTrial = Annotated[int | None, typer.Option(help="CPU cores and threads per trial.")]
GpusPerTrial = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE|auto",
        help="GPUs per trial; 0.25: four share one; auto: as many as fit in memory.",
    ),
]
MaxConcurrent = Annotated[
    int | None, typer.Option(help="Maximum concurrent trials. Default: what fits.")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="Ray cluster that this machine is a node of. Default: start a local Ray.",
    ),
]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate/--no-calibrate",
        help="If trials shared a device, measure their slowdown after the last trial.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Ray's own log output.")]
Notify = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND|URL",
        envvar=notification.VARIABLE,
        callback=notification.check_target,
        help="At the end, run COMMAND with a JSON summary as input, or POST it to the URL.",
    ),
]
Profile = Annotated[bool, typer.Option("--profile", help="Print a breakdown of the time spent.")]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Run directory, or its URL: s3://…, gs://…, abfs://….")
]
Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Run directories, or their URLs: s3://…, gs://…."),
]
By = Annotated[
    str,
    typer.Option(
        help="Ranking metric: accuracy_per_second, anytime, accuracy, seconds (to the floor), "
        "pareto, hypervolume (a trial's contribution), seconds@TARGET, accuracy@BUDGET."
    ),
]
Floor = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Minimum accuracy to be ranked. Default: 0.05 below the best."),
]
Targets = Annotated[
    str | None,
    typer.Option(metavar="A,A,…", help="Report the seconds to these accuracies, such as 0.9,0.95."),
]
Budgets = Annotated[
    str | None,
    typer.Option(metavar="T,T,…", help="Report the best within these times, such as 10s,1m,10m."),
]
Every = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="Update interval of --watch. Default: 10s."),
]
Clock = Annotated[
    str,
    typer.Option(
        help="isolated (training time without contention, or train if not measured), train "
        "(training time) or wall (wall-clock time)."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME,…",
        help="Columns of the table, such as trial,best,solver.method; parameters: those that "
        "differ. Default: what the ranking is about, and parameters.",
    ),
]
Top = Annotated[
    int | None, typer.Option(min=1, help="Number of best trials. Default: 5, or as before.")
]
Seeds = Annotated[
    int | None, typer.Option(min=2, help="Trainings of each. Default: 5, or as before.")
]
