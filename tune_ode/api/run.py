"""A run: its trials, their ranking, plots and report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import pandas as pd

from analysis import load
from analysis.ranking import Ranking, describe_best
from analysis.ranking import rank as rank_tables
from analysis.section import Section
from tune_ode.api.arguments import ConfirmArguments
from tune_ode.api.replications import Replication, confirm, sections_of
from tune_ode.api.resolve import RunLike, path_of
from tune_ode.api.trial import Trial
from tune_ode.errors import UsageError, suggest_name
from tune_ode.paths import RunPath, display_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RankingArguments(TypedDict, total=False):
    """How trials are ranked."""

    by: str
    """`accuracy_per_second` (default), `anytime`, `accuracy`, `seconds` (to the floor), `pareto`,
    `hypervolume`, `seconds@TARGET`, `accuracy@BUDGET`."""
    floor: float | None
    """Minimum validation accuracy to be ranked; None: 0.05 below the best."""
    clock: str
    """`isolated` (default), `train` or `wall`."""
    targets: Iterable[float] | None
    """Accuracies for the columns `seconds_to_…`."""
    budgets: Iterable[float] | None
    """Seconds for the columns `accuracy_within_…`."""


class Run:
    """A search, training or comparison, as its directory was when it was loaded.

    Args:
        run: the run, its directory or URL, its name in `runs/`, or `latest`.

    Attributes:
        path: its directory, or its path in an object store.
        tables: its manifest, trials and reports.

    Raises:
        RunFolderError: there is no such run, or it cannot be read.
    """

    def __init__(self, run: RunLike) -> None:
        self.path: RunPath = path_of(run)
        self.tables: load.Run = load.load_run(self.path)

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.tables.manifest.name

    @property
    def state(self) -> str:
        """`running`, `finished` or `interrupted`."""
        return self.tables.manifest.state

    @property
    def options(self) -> dict[str, Any]:
        """The options that it was started with."""
        return dict(self.tables.manifest.options)

    @property
    def reports(self) -> pd.DataFrame:
        """All reports, a row for each; the columns are the fields of `Report`."""
        return self.tables.reports

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, by id."""
        rows = {row["trial_id"]: row for row in self._ranking.to_records()}
        configs = zip(self.tables.trials["trial_id"], self.tables.trials["config"], strict=True)
        return tuple(Trial.from_row(self.path, config, rows[name]) for name, config in configs)

    def trial(self, trial_id: str | int) -> Trial:
        """Return a trial by its id.

        Raises:
            UsageError: there is no such trial.
        """
        wanted = str(trial_id).zfill(4)
        for trial in self.trials:
            if trial.id == wanted:
                return trial
        raise UsageError(suggest_name("trial", wanted, [trial.id for trial in self.trials]))

    @property
    def best(self) -> Trial:
        """The first trial of the default ranking.

        Raises:
            UsageError: no trial is ranked.
        """
        for trial in self.trials:
            if trial.rank == 1 and trial.device == self._ranking.devices[0]:
                return trial
        raise UsageError(f"{self.path} has no ranked trial; see the reasons in run.ranking()")

    def ranking(self, **how: Unpack[RankingArguments]) -> pd.DataFrame:
        """Return the ranking, best trial first, as `tune-ode rank`.

        Args:
            **how: see `RankingArguments`.

        Returns:
            One row per trial; a value that was not measured is NaN, and None in `rank`.

        Raises:
            UsageError: an unknown metric or clock.
        """
        return rank(self, **how)

    def plot(self, name: str, **how: Unpack[RankingArguments]) -> Figure:
        """Draw a plot of the report, such as `timeline`; notebooks show it.

        Args:
            name: a name in `plots`.
            **how: the ranking that it shows; see `RankingArguments`.

        Returns:
            A figure that is not known to pyplot.

        Raises:
            UsageError: there is no plot of that name, or it has nothing to show yet.
        """
        from analysis.plots import PLOTS

        drawn = {plot.name: plot.figure for section in self._sections for plot in section.plots}
        if name in drawn:
            figure = drawn[name]()
        elif name in PLOTS:
            figure = PLOTS[name].figure(self.tables, _ranked(self, how))
        else:
            raise UsageError(suggest_name("plot", name, [*drawn, *PLOTS]))
        if figure is None:
            raise UsageError(f"the plot {name} has nothing to show for {self.path}")
        return figure

    @property
    def plots(self) -> tuple[str, ...]:
        """The names of the plots."""
        from analysis.plots import PLOTS

        return (*(plot.name for section in self._sections for plot in section.plots), *PLOTS)

    def report(self, *, output: Path | None = None, **how: Unpack[RankingArguments]) -> RunPath:
        """Write the report, as `tune-ode report`, and return the path of its page.

        Args:
            output: directory to write to; None: `report` in the run directory.
            **how: see `RankingArguments`.

        Raises:
            RunFolderError: the report cannot be written.
        """
        from analysis.report import write_report

        return write_report(self.tables, _ranked(self, how), output=output)

    def confirm(
        self, *, progress: bool = True, trust: bool = False, **options: Unpack[ConfirmArguments]
    ) -> Replication:
        """Retrain the best trials with new seeds; see `tune_ode.confirm`."""
        return confirm(self, progress=progress, trust=trust, **options)

    @cached_property
    def _ranking(self) -> Ranking:
        return rank_tables(self.tables)

    @property
    def _sections(self) -> list[Section]:
        return sections_of(self.tables, self._ranking)

    def __str__(self) -> str:
        return "\n".join([repr(self), *describe_best(self._ranking)])

    def __repr__(self) -> str:
        count = len(self.tables.trials)
        return f"<Run {display_path(self.path)}: {self.state}, {count} trials>"

    def _repr_html_(self) -> str:
        return self._ranking._repr_html_()


def load_run(run: RunLike) -> Run:
    """Load a run, finished or not.

    Args:
        run: its directory or URL, its name in `runs/`, or `latest`.

    Raises:
        RunFolderError: there is no such run, or it cannot be read.
    """
    return Run(run)


def rank(runs: RunLike | Sequence[RunLike], **how: Unpack[RankingArguments]) -> pd.DataFrame:
    """Return the ranking of the trials of one or several runs on the same data.

    Args:
        runs: runs, or their directories, URLs or names.
        **how: see `tune_ode.api.run.RankingArguments`.

    Returns:
        One row per trial, best first; a value that was not measured is NaN, and None in `rank`.

    Raises:
        RunFolderError: there is no such run.
        UsageError: an unknown metric or clock, or runs that cannot be compared.
    """
    return _ranked(runs, how).table.copy()


def _ranked(runs: RunLike | Sequence[RunLike], how: RankingArguments) -> Ranking:
    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    if unknown := how.keys() - RankingArguments.__annotations__.keys():
        raise UsageError(suggest_name("argument", min(unknown), RankingArguments.__annotations__))
    return rank_tables([Run(run).tables for run in several], **how)
