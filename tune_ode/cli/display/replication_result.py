"""Output of `confirm` and `compare`: the plan before, the section of the report after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.text import Text

from analysis.comparison.section import comparison_section
from analysis.confirmation.section import confirmation_section
from analysis.load import load_run
from analysis.ranking import rank
from tune_ode.cli.display.plan import print_fields
from tune_ode.cli.display.result import print_report
from tune_ode.cli.display.terminal import Column, fit, table_of
from tune_ode.errors import Interrupted, RunFailed
from tune_ode.paths import display_path
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from analysis.section import Cell, Section
    from analysis.section import Column as SectionColumn
    from tune_ode.replication.compare_plan import ComparePlan
    from tune_ode.replication.confirm_plan import ConfirmPlan
    from tune_ode.replication.train import ReplicationResult

_KEPT = 2
"""Columns that a terminal of any width has: those that name the row."""


def print_confirmation_plan(plan: ConfirmPlan, console: Console) -> None:
    """Print the trials, seeds and resources of a confirmation."""
    names = [candidate.confirms for candidate in plan.candidates]
    best = ", ".join(name for name in names[: plan.top] if name.isdigit())
    seconds = plan.budget_seconds
    budget = "" if seconds is None else f", up to {seconds:.3g} s of training each"
    lines = [
        f"confirm   trials {best} of {plan.path}; default configuration: {plan.default}",
        f"seeds     {len(plan.seeds)} fresh seeds from {plan.seeds[0]}, the same for each: "
        f"{len(names) * len(plan.seeds)} trainings, one at a time{budget}",
        *(f"note      {note}" for note in plan.notes),
        f"on        {plan.resources.per_trial}; {plan.resources.cluster.inventory}",
    ]
    print_fields(lines, console)


def print_comparison_plan(plan: ComparePlan, console: Console) -> None:
    """Print the cases, data and resources of a comparison."""
    options, trainings = plan.options, len(plan.candidates) * len(plan.seeds)
    lines = [
        f"compare   {', '.join(options.cases)}",
        f"data      {options.dataset}: {plan.train_images} training images, "
        f"{plan.validation_images} validation images, {plan.test_images} test images",
        *(f"note      {note}" for note in plan.notes),
        f"trainings {trainings}, one at a time: {pluralize(options.epochs, 'epoch')}, "
        f"{pluralize(len(plan.seeds), 'seed')} per case",
        f"on        {plan.resources.per_trial}; {plan.resources.cluster.inventory}",
        f"run       {display_path(plan.folder)}",
    ]
    print_fields(lines, console)


def print_confirmation_result(
    plan: ConfirmPlan, result: ReplicationResult, console: Console, *, as_json: bool
) -> None:
    """Print the confirmation and write the report of its run.

    Args:
        plan: what was confirmed.
        result: how the trainings ended.
        console: where to print.
        as_json: print JSON to standard output instead of the table.

    Raises:
        Interrupted: the trainings were interrupted.
        RunFailed: no training completed.
    """
    section = confirmation_section(plan.run, plan.ranking)
    if section is not None:
        if as_json:
            rows = [json.dumps(row, allow_nan=False) for row in section.records]
            print("[\n" + ",\n".join(rows) + "\n]")
        else:
            print_section(section, console)
        print_report(plan.run, plan.ranking, console, [section])
    _raise_unless_complete(plan, result, section)


def print_comparison_result(plan: ComparePlan, result: ReplicationResult, console: Console) -> None:
    """Print the comparison and write the report of its run.

    Raises:
        Interrupted: the trainings were interrupted.
        RunFailed: no training completed.
    """
    run = load_run(plan.folder)
    section = comparison_section(run)
    if section is not None:
        print_section(section, console)
        print_report(run, rank(run), console, [section])
    _raise_unless_complete(plan, result, section)


def print_section(section: Section, console: Console) -> None:
    """Print the table, answer, warnings and notes of a section.

    A narrow terminal leaves out details, wraps headings, and then leaves out columns.
    """
    names = [column.heading for column in section.table.columns]
    columns = {
        column.heading: _column(column, [row[index] for row in section.table.rows])
        for index, column in enumerate(section.table.columns)
    }
    spare = {column.heading: column.spare for column in section.table.columns}
    order = sorted(names, key=lambda name: spare[name])[::-1]  # the last one first
    shown = fit(columns, console.width, [*order, *order, *order[:-_KEPT]])
    console.print(table_of(shown))
    if left_out := [name for name in names if name not in shown]:
        text = f"left out: {', '.join(left_out)}; see the report or a wider terminal"
        console.print(text, style="dim", highlight=False, markup=False)
    for sentence in (section.answer, *section.warnings):
        console.print(sentence, highlight=False, markup=False)
    for note in section.notes:
        console.print(note, style="dim", highlight=False, markup=False)


def _column(column: SectionColumn, cells: Sequence[Cell]) -> Column:
    """Return a column with details, whose narrow forms lack them, and then wrap the heading."""

    def texts(detail: bool) -> list[Text]:
        return [
            Text(cell.inline() if detail or cell.bad else cell.text, style="red" * cell.bad)
            for cell in cells
        ]

    left = not column.numeric
    wrapped = Column(column.heading.replace(" ", "\n"), texts(detail=False), left=left)
    plain = Column(column.heading, texts(detail=False), left=left, narrow=wrapped)
    return Column(column.heading, texts(detail=True), left=left, narrow=plain)


def _raise_unless_complete(
    plan: ConfirmPlan | ComparePlan, result: ReplicationResult, section: Section | None
) -> None:
    if result.interrupted:
        raise Interrupted(f"interrupted; to continue: {result.resume_command}")
    if section is None or not section.complete:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.items())
        raise RunFailed(
            f"no training completed ({outcomes or 'as before'}); the reasons are in the "
            f"outcome.json files of {plan.folder}"
        )
