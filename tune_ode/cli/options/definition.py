"""Options that define what a run measures: question, space and strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune_ode.cli import complete
from tune_ode.cli.config_file import merge_with_file
from tune_ode.cli.options.panels import question, space, strategy

DEFINING_OPTIONS = frozenset({
    "--space", "--fix", "--set", "--start-from", "--precision", "--train-images", "--validation",
    "--groups", "--skip-broken", "--trial-seconds", "--instants-per-decade", "--objective",
    "--sampler", "--scheduler", "--seed", "--cases", "--epochs",
})  # fmt: skip
"""Options that define what a run measures; all others say where and how long it executes."""

Configuration = Annotated[
    str | None,
    typer.Argument(
        metavar="[RECIPE|FILE.yaml|RUN:TRIAL]",
        autocompletion=complete.configurations,
        help="Default: the default configuration.",
    ),
]
Dataset = Annotated[
    str,
    question(
        metavar="NAME",
        autocompletion=complete.datasets,
        help="digits, mnist, fashion-mnist, cifar10, cifar100, svhn, tiny-imagenet, folder:PATH.",
    ),
]
OtherDataset = Annotated[
    str | None,
    question(
        "--dataset",
        metavar="NAME",
        autocompletion=complete.datasets,
        help="Default: that of the configuration.",
    ),
]
MovedDataset = Annotated[
    str | None,
    question("--dataset", metavar="folder:PATH", help="Where the run's images are now."),
]
DataDir = Annotated[
    Path | None,
    question(metavar="FOLDER", help="Default: TUNE_ODE_DATA, or a user directory."),
]
TrainImages = Annotated[
    int | None, question(min=1, metavar="N", help="Train on a stratified subset of this size.")
]
SkipBroken = Annotated[
    bool, question("--skip-broken", help="Leave out images of a folder that cannot be used.")
]
Validation = Annotated[
    float | None,
    question(
        min=0,
        max=1,
        metavar="SHARE",
        help="Share of training images held out. Default: valid/ of a folder, or 0.2 to 0.4.",
    ),
]
Groups = Annotated[
    str | None,
    question(
        metavar="PATTERN|FILE",
        help="Never split a group of images: of a regular expression in file names, or of a .csv, "
        ".tsv or .json file.",
    ),
]
Objective = Annotated[
    str,
    question(
        metavar="NAME", help="anytime (accuracy over log-seconds), accuracy, or pareto (both)."
    ),
]
Cases = Annotated[
    list[str] | None,
    question(
        metavar="CASE",
        callback=merge_with_file,
        help="METHOD:GRADIENT, resnet, or classic (the default four); repeatable, or a,b,….",
    ),
]
SpaceName = Annotated[
    str,
    space(
        "--space",
        metavar="NAME|FILE.yaml",
        autocompletion=complete.spaces,
        help="See tune-ode spaces; or package.module:NAME.",
    ),
]
TableSpace = Annotated[
    str | None,
    space(
        "--space",
        metavar="NAME|FILE.yaml",
        autocompletion=complete.spaces,
        help="Space of a table. Default: quick.",
    ),
]
Fix = Annotated[
    list[str] | None,
    space(
        metavar="NAME=VALUE",
        callback=merge_with_file,
        help="Set a field of the configuration in all trials.",
    ),
]
Restrict = Annotated[
    list[str] | None,
    space(
        "--set",
        metavar="NAME=RANGE",
        callback=merge_with_file,
        help="Search a parameter in 16..64, 1e-4..1e-2,log, 0..0.4,step 0.1, or relu|gelu.",
    ),
]
StartFrom = Annotated[
    list[str] | None,
    space(
        metavar="CONFIG|RUN",
        autocompletion=complete.starts,
        callback=merge_with_file,
        help="Try first a recipe, FILE.yaml or best of a run.",
    ),
]
Precision = Annotated[
    str | None,
    space(metavar="fp32|bf16", help="bf16: layers in half precision. Default: fp32."),
]
Sampler = Annotated[
    str,
    strategy(
        metavar="NAME",
        help="tpe, tpe-cost (considers seconds), random, grid, or package.module:factory.",
    ),
]
Samplers = Annotated[
    list[str] | None,
    strategy(
        "--sampler",
        metavar="NAME",
        callback=merge_with_file,
        help="As for search; repeatable. Default: tpe and random, with each scheduler.",
    ),
]
Scheduler = Annotated[
    str,
    strategy(metavar="NAME", help="Stop bad trials at equal seconds or epochs; or none."),
]
Schedulers = Annotated[
    list[str] | None,
    strategy(
        "--scheduler",
        metavar="NAME",
        callback=merge_with_file,
        help="As for search; repeatable. Default: seconds and none.",
    ),
]
Seed = Annotated[int, strategy(min=0, metavar="N", help="Seed of sampler, splits and trainings.")]
TrainSeed = Annotated[
    int | None,
    strategy("--seed", min=0, metavar="N", help="Default: that of the configuration."),
]
