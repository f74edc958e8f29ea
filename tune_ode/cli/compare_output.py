"""What `compare` prints: the plan before it; after it the table and what the numbers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from analysis.compared import load_compared
from analysis.load import load_run
from analysis.page import compared_words
from analysis.page.compared_table import table
from analysis.report import write_report
from tune_ode.cli.confirm_output import raise_unless_measured
from tune_ode.errors import RunFolderError
from tune_ode.paths import shown
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.replication.compare_plan import ComparePlan
    from tune_ode.replication.confirm import ReplicationResult


_WITH_PUBLISHED = 110
"""Columns that the terminal must have for the published figures, the last of a row."""


def print_comparison_plan(chosen: ComparePlan, console: Console) -> None:
    """Print a plan."""
    question, many = chosen.options, len(chosen.candidates) * len(chosen.seeds)
    lines = [
        f"compare   {', '.join(question.cases)}",
        f"data      {question.dataset}: {chosen.train_images} images to train on, "
        f"{chosen.validation_images} held out, {chosen.test_images} of the test set",
        f"trainings {many}, one at a time: {pluralize(question.epochs, 'epoch')}, "
        f"{pluralize(len(chosen.seeds), 'seed')} of each case",
        f"on        {chosen.resources.need}; {chosen.resources.cluster.inventory}",
        f"run       {shown(chosen.folder)}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_comparison_result(chosen: ComparePlan, end: ReplicationResult, console: Console) -> None:
    """Print what was measured, and write the run's report.

    Raises:
        Interrupted: it was interrupted.
        RunFailed: no training was completed.
    """
    compared = load_compared(load_run(chosen.folder))
    if compared is not None:
        headings, rows = table(compared)
        grid = Table(box=None, pad_edge=False, header_style="bold")
        if console.width < _WITH_PUBLISHED:
            headings = [heading for heading in headings if not heading.startswith("published")]
        for place, heading in enumerate(headings):
            grid.add_column(heading, justify="right" if place else "left", no_wrap=not place)
        for row in rows:
            grid.add_row(*row[: len(headings)])
        console.print(grid)
        console.print(compared_words.paragraph(compared), highlight=False, markup=False)
        for note in compared_words.notes(compared):
            console.print(note, style="dim", highlight=False, markup=False)
        try:
            page = shown(write_report(chosen.folder))
        except RunFolderError as error:
            page = str(error)
        console.print(
            f"report    {page}, comparison.md, comparison.png",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    measured = compared is not None and bool(compared.measured)
    raise_unless_measured(chosen, end, measured=measured)
