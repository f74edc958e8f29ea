"""Options that say how long, where and with what output a run executes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tune_ode.cli import notification
from tune_ode.cli.config_file import check_names, merge_with_file, read_options
from tune_ode.cli.options.panels import (
    advanced,
    budget,
    budget_duration,
    duration,
    output,
    resources,
)

Trials = Annotated[
    int | None, budget(min=1, metavar="N", help="Maximum number of trials. Default: no limit.")
]
TimeBudget = Annotated[
    float | None,
    budget(
        parser=budget_duration,
        metavar="TIME",
        help="Wall-clock time: 90s, 5min, 1h30m, 1d. Default: 4min, if nothing else is limited.",
    ),
]
TrialSeconds = Annotated[
    float | None,
    budget(
        parser=duration, metavar="TIME", help="Training time of a trial. Default: from the budget."
    ),
]
GpuHours = Annotated[float | None, budget(metavar="HOURS", help="Maximum GPU hours of all trials.")]
TargetAccuracy = Annotated[
    float | None,
    budget(min=0, max=1, metavar="SHARE", help="Stop at this validation accuracy."),
]
Patience = Annotated[
    int | None,
    budget(min=1, metavar="N", help="Stop after N trials without improvement."),
]
CpusPerTrial = Annotated[
    int | None,
    resources(metavar="N", help="CPU cores and threads. Default: 1; train: all."),
]
GpusPerTrial = Annotated[
    str | None,
    resources(
        metavar="SHARE",
        help="0.25: four trials share a GPU; auto: as many as fit in its memory. Default: 1, "
        "where there is a GPU.",
    ),
]
MaxConcurrent = Annotated[
    int | None,
    resources(metavar="N", help="Maximum concurrent trials. Default: what fits."),
]
Address = Annotated[
    str | None,
    resources(
        metavar="HOST:PORT",
        help="Ray cluster, or auto. Default: start Ray here.",
    ),
]
ResumeAddress = Annotated[
    str | None,
    resources(
        "--address",
        metavar="HOST:PORT|URL",
        help="Another cluster, auto or local. With http://HOST:8265, as a job; RUN is its id or "
        "directory.",
    ),
]
Workers = Annotated[int, resources(min=1, metavar="N", help="Concurrent trials.")]
Name = Annotated[str | None, output(metavar="NAME", help="Default: from the options.")]
Output = Annotated[str, output(metavar="FOLDER|URL", help="Parent of the run; also a URL.")]
OutputFolder = Annotated[
    Path, output("--output", metavar="FOLDER", help="Parent of the directory.")
]
LogTo = Annotated[
    list[str] | None,
    output(
        metavar="TARGET",
        callback=merge_with_file,
        help="tensorboard, mlflow[:URI] or wandb[:PROJECT].",
    ),
]
Storage = Annotated[
    str | None,
    output(
        metavar="URL",
        help="Database of the study: sqlite:///PATH or postgresql://…. Default: a file of the run.",
    ),
]
Notify = Annotated[
    str | None,
    output(
        metavar="COMMAND|URL",
        envvar=notification.VARIABLE,
        callback=notification.check_target,
        help="Gets a JSON summary at the end.",
    ),
]
Check = Annotated[bool, output("--check", help="Print the plan only.")]
Profile = Annotated[bool, output("--profile", help="Print a breakdown of the time spent.")]
Config = Annotated[
    Path | None,
    advanced(
        metavar="FILE.yaml",
        is_eager=True,
        callback=read_options,
        help="Options by name; the command line has precedence.",
    ),
]
Trust = Annotated[
    bool,
    advanced(
        "--trust",
        callback=check_names,
        help="Approve code, servers and folders that the run or --config file names.",
    ),
]
InstantsPerDecade = Annotated[
    int,
    advanced(min=2, max=32, metavar="N", help="Reports per factor of ten in training seconds."),
]
TrialTimeout = Annotated[
    float | None,
    advanced(
        parser=duration,
        metavar="TIME",
        help="Fail a trial without a report for this long. Default: from its training time.",
    ),
]
Calibrate = Annotated[
    bool,
    advanced(
        "--calibrate/--no-calibrate",
        help="Measure the slowdown of trials that shared a device after the last trial.",
    ),
]
Verbose = Annotated[bool, advanced("--verbose", help="Show Ray's own log output.")]
