"""Output of `confirm` and `compare`: the plan before, the section of the report after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from analysis.comparison.section import comparison_section
from analysis.confirmation.section import confirmation_section
from analysis.load import load_run
from analysis.ranking import rank
from tune_ode.cli.display.result import print_line, print_report
from tune_ode.errors import Interrupted, RunFailed
from tune_ode.paths import display_path
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.section import Section
    from tune_ode.replication.compare_plan import ComparePlan
    from tune_ode.replication.confirm_plan import ConfirmPlan
    from tune_ode.replication.train import ReplicationResult


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
    for line in lines:
        print_line(line, console)


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
    for line in lines:
        print_line(line, console)


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
    """Print the table, answer, warnings and notes of a section."""
    width = console.width
    columns = [(i, column) for i, column in enumerate(section.table.columns)
               if width >= column.min_width]  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    for _, column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.numeric else "left",
            no_wrap=not column.numeric,
        )
    for row in section.table.rows:
        cells = [row[i] for i, _ in columns]
        table.add_row(
            *(
                Text(
                    cell.inline() if width >= section.table.detail_width or cell.bad else cell.text,
                    style="red" if cell.bad else "",
                )
                for cell in cells
            )
        )
    console.print(table)
    for sentence in (section.answer, *section.warnings):
        console.print(sentence, highlight=False, markup=False)
    for note in section.notes:
        console.print(note, style="dim", highlight=False, markup=False)


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
