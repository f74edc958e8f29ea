"""Confirm and compare: configurations that are trained again with several seeds."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from analysis import load
from analysis.comparison.section import comparison_section
from analysis.confirmation.section import confirmation_section
from analysis.ranking import Ranking, rank
from analysis.section import Section
from tune_ode.api.arguments import (
    CompareArguments,
    ConfirmArguments,
    option_values,
    with_arguments,
)
from tune_ode.api.progress import print_start, watch_lines
from tune_ode.api.resolve import RunLike, path_of
from tune_ode.api.session import session
from tune_ode.errors import Interrupted, RunFailed, UsageError, suggest_name
from tune_ode.paths import RunPath
from tune_ode.replication.compare_plan import CompareOptions, plan_comparison
from tune_ode.replication.confirm_plan import ConfirmOptions, plan_confirmation
from tune_ode.replication.plan import TrainingPlan
from tune_ode.replication.train import locked, train_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Replication:
    """The result of `confirm` or `compare`.

    Attributes:
        path: directory or URL of the run that was confirmed, or of the comparison.
        answer: what the trainings show, in a sentence.
        warnings: what to know before trusting it.
        best: the trial that the answer recommends, `default`, or None for neither.
        table: one row per configuration, best first.
        plots: names of its plots.
    """

    def __init__(self, path: RunPath, section: Section) -> None:
        self.path = path
        self.answer = section.answer
        self.warnings = section.warnings
        self.best = section.best
        self.table = pd.DataFrame(section.records)
        self._plots = {plot.name: plot for plot in section.plots}
        self.plots = tuple(self._plots)

    def plot(self, name: str | None = None) -> Figure:
        """Draw a plot; notebooks show it.

        Args:
            name: a name in `plots`; None: the first.

        Raises:
            UsageError: there is no plot of that name, or it has nothing to show.
        """
        name = name or self.plots[0]
        if name not in self._plots:
            raise UsageError(suggest_name("plot", name, self.plots))
        if (figure := self._plots[name].figure()) is None:
            raise UsageError(f"the plot {name} has nothing to show for {self.path}")
        return figure

    def __str__(self) -> str:
        return "\n".join([self.answer, *self.warnings])

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in [self.answer, *self.warnings])
        return f"<p>{text}</p>{self.table.to_html()}"


@with_arguments(ConfirmArguments, ConfirmOptions)
def confirm(
    run: RunLike,
    *,
    progress: bool = True,
    trust: bool = False,
    **options: Unpack[ConfirmArguments],
) -> Replication:
    """Retrain the best trials of a run, and its default, with new seeds; use the test set.

    Trainings run one at a time, each in a process that has the device to itself. If interrupted,
    a second call continues.

    Args:
        run: the run, its directory or URL, its name in `runs/`, or `latest`.
        progress: print a line when a training ends.
        trust: approve the code, servers and directories that the run names.
        **options: see `tune_ode.api.arguments.ConfirmArguments`.

    Raises:
        UsageError: there is no such run, none of its trials is ranked, or it is in use.
        Interrupted: by the user; the message has the command that resumes it.
        RunFailed: no training completed.
    """
    values = option_values(options, ConfirmArguments)
    path = path_of(run, persistent=True)
    with session(), locked(path):
        _train(plan_confirmation(path, values, trust=trust), progress)
    return _result(path)


@with_arguments(CompareArguments, CompareOptions)
def compare(*, progress: bool = True, **options: Unpack[CompareArguments]) -> Replication:
    """Compare solvers and gradients on one network, as `tune-ode compare`.

    Args:
        progress: print a line when a training ends.
        **options: see `tune_ode.api.arguments.CompareArguments`.

    Raises:
        UsageError: an invalid option; nothing was started.
        Interrupted: by the user; the message has the command that resumes it.
        RunFailed: no training completed.
    """
    values = option_values(options, CompareArguments)
    return run_comparison(CompareOptions.from_dict(values), progress=progress)


def run_comparison(options: CompareOptions, *, progress: bool) -> Replication:
    """Start or resume a comparison."""
    with session():
        plan = plan_comparison(options)
        _train(plan, progress)
    return _result(plan.folder)


def _train(plan: TrainingPlan, progress: bool) -> None:
    print_start(progress, plan.notes, plan.folder)
    result = train_all(plan, watch_lines(progress))
    if result.interrupted:
        raise Interrupted(f"interrupted; to continue: {result.resume_command}")


def sections_of(run: load.Run, ranking: Ranking) -> list[Section]:
    """Return the results of a comparison or a confirmation, as the report has them."""
    found = comparison_section(run), confirmation_section(run, ranking)
    return [section for section in found if section is not None]


def _result(path: RunPath) -> Replication:
    run = load.load_run(path)
    section = next(iter(sections_of(run, rank(run))), None)
    if section is None or not section.complete:
        raise RunFailed(f"no training of {path} completed; see: tune-ode report {path}")
    return Replication(path, section)
