"""The options of the command line: each is the same in every command that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune_ode.cli.config_file import read_options, with_those_of_the_file
from tune_ode.errors import UsageError
from tune_ode.text import parse_duration


def duration(text: str) -> float:
    """Parse a duration option; see `tune_ode.text.parse_duration`."""
    try:
        return parse_duration(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


Configuration = Annotated[
    str | None,
    typer.Argument(
        metavar="[RECIPE|FILE.yaml|RUN:TRIAL]", help="By default the default configuration."
    ),
]
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
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        is_eager=True,
        callback=read_options,
        help="Options of this command by name; what the command line says wins.",
    ),
]
SpaceName = Annotated[
    str,
    typer.Option(
        "--space",
        metavar="NAME|FILE.yaml|package.module:NAME",
        help="What to search; see `tune-ode spaces`.",
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        callback=with_those_of_the_file,
        help="Give a setting a value; it is not searched then.",
    ),
]
Narrow = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=LOW..HIGH|NAME=A|B",
        callback=with_those_of_the_file,
        help="Search another range: 16..64, 1e-4..1e-2,log, 0..0.4,step 0.1, or relu|gelu.",
    ),
]
StartFrom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RECIPE|FILE.yaml|RUN",
        callback=with_those_of_the_file,
        help="Try this configuration, or a run's best, first; see `tune-ode recipes`.",
    ),
]
Cases = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METHOD:GRADIENT|resnet|classic",
        callback=with_those_of_the_file,
        help="What to compare, several times or separated by commas; classic: the default four.",
    ),
]
Samplers = Annotated[
    list[str] | None,
    typer.Option(
        "--sampler",
        callback=with_those_of_the_file,
        help="As for search, several times: each with each scheduler. By default tpe and random.",
    ),
]
Schedulers = Annotated[
    list[str] | None,
    typer.Option(
        "--scheduler",
        callback=with_those_of_the_file,
        help="As for search, several times. By default seconds and none.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="fp32|bf16", help="bf16: layers in half precision, the solver's state not."
    ),
]
Trials = Annotated[int | None, typer.Option(min=1, help="Trials in all.")]
TimeBudget = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="Seconds to search, or 90s, 6m, 1h30m."),
]
TrialSeconds = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="Training time one trial may use."),
]
GpuHours = Annotated[
    float | None, typer.Option(help="GPUs times hours that trials may use in all.")
]
TargetAccuracy = Annotated[
    float | None, typer.Option(min=0, max=1, help="Validation accuracy that ends the search.")
]
TrialTimeout = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="A trial that is silent so long fails."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of proposals, splits and trainings.")]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="sqlite:///PATH or postgresql://… to keep the study in."),
]
LogTo = Annotated[
    list[str] | None,
    typer.Option(
        metavar="tensorboard|mlflow[:URI]|wandb[:PROJECT]",
        callback=with_those_of_the_file,
        help="Write what is measured there too.",
    ),
]
Name = Annotated[str | None, typer.Option(help="Name of the run; by default data, space, time.")]
Output = Annotated[
    str, typer.Option(help="Folder, or s3://… or gs://…, that run folders are made in.")
]
CpusPerTrial = Annotated[int | None, typer.Option(help="CPU cores, and threads, of a trial.")]
GpusPerTrial = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE|auto",
        help="GPUs of a trial; 0.25: four share one; auto: as many as their memory allows.",
    ),
]
MaxConcurrent = Annotated[int | None, typer.Option(help="Trials at once; by default what fits.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="The running Ray cluster that this machine is a node of; by default no cluster.",
    ),
]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate/--no-calibrate",
        help="Where trials share a device, time a step alone and beside others first.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Let Ray speak.")]
Profile = Annotated[bool, typer.Option("--profile", help="Print where the time went.")]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or its URL: s3://…, gs://…, abfs://….")
]
Runs = Annotated[
    list[str], typer.Argument(metavar="RUN...", help="Run folders, or their URLs: s3://…, gs://….")
]
By = Annotated[
    str,
    typer.Option(
        help="accuracy_per_second, anytime, accuracy, seconds (to the floor), pareto, hypervolume "
        "(what a trial adds to it), seconds@TARGET, accuracy@BUDGET."
    ),
]
Floor = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Least accuracy to be ranked; by default 0.05 under the best."),
]
Targets = Annotated[
    str | None,
    typer.Option(metavar="A,A,…", help="Accuracies to tell the seconds to, such as 0.9,0.95."),
]
Budgets = Annotated[
    str | None,
    typer.Option(metavar="T,T,…", help="Times to tell the best within, such as 10s,1m,10m."),
]
Every = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="TIME", help="How often, with --watch; by default 10s."),
]
Clock = Annotated[
    str,
    typer.Option(
        help="isolated (training as if alone on the device; where that was not measured, as "
        "train), train (training only) or wall (everything counted)."
    ),
]
Top = Annotated[
    int | None, typer.Option(min=1, help="How many of the best trials; by default 5, or as before.")
]
Seeds = Annotated[
    int | None, typer.Option(min=2, help="Trainings of each; by default 5, or as before.")
]
