"""What commands print behind a search: the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from analysis.load import load_run
from analysis.plots.time import TimeUseData, time_use_data
from analysis.rank import rank
from analysis.report import write_report
from tune_ode.cli.ranking_table import print_ranking
from tune_ode.errors import Interrupted, RunFailed, RunFolderError
from tune_ode.paths import shell_quoted, shown
from tune_ode.records import Outcome
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.launch import SearchResult


def print_result(end: SearchResult, console: Console, *, profile: bool = False) -> None:
    """Print what a search found and write its report.

    Args:
        end: how it ended.
        console: where to.
        profile: whether to print where its time went, too.

    Raises:
        Interrupted: the run was interrupted.
        RunFailed: it ended because something is wrong, or measured nothing.
    """
    folder = shell_quoted(end.run_folder)
    loaded = load_run(end.run_folder)
    if loaded.manifest.options.get("command") == "train":
        if not end.interrupted and len(loaded.lines):
            # torch takes seconds to import, and only this needs it
            from tune_ode.prediction import score_on_test_set

            data_dir = loaded.manifest.options["data_dir"]
            score = score_on_test_set(end.run_folder, "0001", data_dir and Path(data_dir))
            console.print(
                f"test      accuracy {score.accuracy:.4f} on {score.images} images, by the model "
                "with the best validation accuracy",
                highlight=False,
                soft_wrap=True,
            )
    elif len(loaded.trials):
        ranking = rank(loaded)
        print_ranking(ranking, console, limit=15)
        if profile and (use := time_use_data(loaded, ranking)) is not None:
            _print_profile(use, console)
    if len(loaded.lines):
        try:
            page = shown(write_report(end.run_folder))
        except RunFolderError as error:
            # the search is what counts; its own end is told below
            page = str(error)
        console.print(f"report    {page}", highlight=False, markup=False, soft_wrap=True)
    if end.interrupted:
        raise Interrupted(f"interrupted; to continue: tune-ode resume {folder}")
    if loaded.manifest.options["command"] == "train" and not end.interrupted:
        outcome, reason = loaded.trials[["outcome", "reason"]].iloc[0]
        if outcome != Outcome.COMPLETED:
            raise RunFailed(f"the training ended as {outcome}: {reason}")
    if end.failed:
        raise RunFailed(f"the search ended: {end.stop_reason}")
    if end.stop_reason:
        # who gave a time and no number of trials has what was asked for
        early = " early" * (loaded.manifest.options["trials"] is not None)
        console.print(
            f"ended{early}: {end.stop_reason}", highlight=False, markup=False, soft_wrap=True
        )
    if len(loaded.lines) == 0:
        raise RunFailed(f"no trial was measured; see the reasons with: tune-ode rank {folder}")


def _print_profile(use: TimeUseData, console: Console) -> None:
    """Print where lanes × seconds went."""
    whole = sum(use.seconds.values()) or 1.0
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{pluralize(use.lanes, 'lane')} × {use.searched:.0f} s")
    for heading in ("seconds", "share"):
        table.add_column(heading, justify="right")
    for what, seconds in use.seconds.items():
        table.add_row(what, f"{seconds:.1f}", f"{seconds / whole:.1%}")
    console.print(table)
