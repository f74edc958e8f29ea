"""Arguments and options of commands that read runs: rank, report, confirm, compare, simulate."""

from __future__ import annotations

from typing import Annotated

import typer

from tune_ode.cli import complete
from tune_ode.cli.options.panels import budget, duration, output, question

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        autocompletion=complete.runs,
        help="Directory or URL of a run, its name in runs/, or latest.",
    ),
]
Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN",
        autocompletion=complete.runs,
        help="Directories or URLs of runs, names in runs/, or latest.",
    ),
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="RUN|TABLE.jsonl",
        autocompletion=complete.runs,
        help="Source of learning curves: a run, or a table.",
    ),
]
RunTrial = Annotated[
    str,
    typer.Argument(
        metavar="RUN:TRIAL",
        autocompletion=complete.trials,
        help="TRIAL may be best; RUN alone is RUN:best.",
    ),
]
By = Annotated[
    str,
    question(
        metavar="NAME",
        help="accuracy_per_second, anytime, accuracy, seconds (to the floor), pareto, "
        "hypervolume (a trial's contribution), seconds@TARGET, accuracy@BUDGET.",
    ),
]
Floor = Annotated[
    float | None,
    question(
        min=0,
        max=1,
        metavar="SHARE",
        help="Minimum accuracy to be ranked. Default: 0.05 below the best.",
    ),
]
Targets = Annotated[
    str | None,
    question(metavar="A,A,…", help="Report the seconds to these accuracies, such as 0.9,0.95."),
]
Budgets = Annotated[
    str | None,
    question(metavar="T,T,…", help="Report the best within these times, such as 10s,1m,10m."),
]
Clock = Annotated[
    str,
    question(
        metavar="NAME",
        help="isolated (training time without contention, or train if not measured), train "
        "(training time) or wall (wall-clock time).",
    ),
]
Columns = Annotated[
    str | None,
    output(
        metavar="NAME,NAME,…",
        help="Columns of the table, such as trial,best,solver.method; parameters: those that "
        "differ. Default: what the ranking is about, and parameters.",
    ),
]
Every = Annotated[
    float | None,
    output(parser=duration, metavar="TIME", help="Update interval of --watch. Default: 10s."),
]
Top = Annotated[
    int | None,
    budget(min=1, metavar="N", help="Number of best trials. Default: 5, or as before."),
]
Seeds = Annotated[
    int | None,
    budget(min=2, metavar="N", help="Trainings of each. Default: 5, or as before."),
]
Epochs = Annotated[int, budget(min=1, metavar="N", help="Epochs of each training.")]
CaseSeeds = Annotated[
    int,
    budget("--seeds", min=1, metavar="N", help="Trainings per case; 2 or more give intervals."),
]
Json = Annotated[bool, output("--json", help="Print JSON.")]
Repetitions = Annotated[int, budget(min=1, metavar="N", help="Searches per strategy.")]
