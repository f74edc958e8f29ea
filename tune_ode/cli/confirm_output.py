"""What `confirm` prints: the plan before it; after it the re-ranked table and what it means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from analysis.confirmed import Candidate, Confirmed
from analysis.load import load_run
from analysis.load_confirmed import load_confirmed
from analysis.page import confirmed_words
from analysis.rank import rank
from analysis.report import write_report
from tune_ode.cli.output import shown
from tune_ode.errors import Interrupted, RunFailed, RunFolderError

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.confirm import ConfirmEnd
    from tune_ode.tuning.confirm_plan import ConfirmPlan

_WIDE = 120
"""Columns of a terminal; narrower, intervals give room."""


def describe_confirmation(chosen: ConfirmPlan, console: Console) -> None:
    """Print a plan."""
    names = [one.confirms for one in chosen.candidates]
    best = ", ".join(name for name in names[: chosen.top] if name.isdigit())
    budget = f", up to {chosen.budget_seconds:.3g} s of training each" * bool(chosen.budget_seconds)
    default = f"; default configuration: {chosen.default}"
    lines = [
        f"confirm   trials {best} of {chosen.run.folder}{default}",
        f"seeds     {len(chosen.seeds)} fresh ones from {chosen.seeds[0]}, the same for each: "
        f"{len(names) * len(chosen.seeds)} trainings, one at a time{budget}",
        f"on        {chosen.resources.share.removesuffix(' each')} of {chosen.resources.inventory}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def conclude_confirmation(
    chosen: ConfirmPlan, end: ConfirmEnd, console: Console, *, as_json: bool
) -> None:
    """Print what was confirmed, and write the run's report.

    Raises:
        Interrupted: it was interrupted.
        RunFailed: no training was completed.
    """
    run = load_run(chosen.run.folder)
    confirmed = load_confirmed(run, rank(run))
    if confirmed is not None:
        if as_json:
            rows = [json.dumps(row, allow_nan=False) for row in confirmed.to_records()]
            print("[\n" + ",\n".join(rows) + "\n]")
        else:
            print_confirmed(confirmed, console)
        try:
            page = shown(write_report(run.folder))
        except RunFolderError as error:
            page = str(error)
        console.print(f"report    {page}", highlight=False, markup=False, soft_wrap=True)
    if end.interrupted:
        raise Interrupted(f"interrupted; to continue: {chosen.how_to_go_on}")
    if confirmed is None or not any(one.test.count for one in confirmed.candidates):
        worst = ", ".join(f"{many} {outcome}" for outcome, many in end.outcomes.items())
        raise RunFailed(
            f"no training was completed ({worst or 'as before'}); the reasons stand in the "
            f"outcome.json files of {chosen.folder}"
        )


def print_confirmed(confirmed: Confirmed, console: Console) -> None:
    """Print the candidates, best first, how each stands against the default, and notes."""
    wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("place", "trial"):
        table.add_column(heading, no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("against the default")
    for place, one in enumerate(confirmed.candidates, 1):
        verdict = confirmed.verdict(one)
        table.add_row(
            str(place) if one.reached else "-",
            f"{one.trial_id}{' (default)' if one.is_default and one.trial_id.isdigit() else ''}",
            *_figures(one, wide=wide),
            Text(verdict, style="red" if verdict.startswith("failed") else ""),
        )
    console.print(table)
    sentences = [
        confirmed_words.answer(confirmed),
        *confirmed_words.failures(confirmed),
        *confirmed_words.discrete(confirmed),
    ]
    for sentence in sentences:
        console.print(sentence, highlight=False, markup=False)
    for note in confirmed_words.notes(confirmed):
        console.print(note, style="dim", highlight=False, markup=False)


_HEADINGS = (
    "test accuracy", "validation", "s to floor", "acc./s", "first", "flattered", "cold s",
    "ODE gap", "ms/image",
)  # fmt: skip


def _figures(one: Candidate, *, wide: bool) -> list[str]:
    row = one.figures()

    def with_interval(name: str, digits: int) -> str:
        text = _number(row[name], digits)
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        if not wide or low is None:
            return text
        return f"{text} [{_number(low, digits)}, {_number(high, digits)}]"

    return [
        with_interval("test_accuracy", 4),
        with_interval("val_accuracy", 4),
        with_interval("seconds_to_floor", 2),
        with_interval("accuracy_per_second", 3),
        "-" if row["probability_first"] is None else f"{row['probability_first']:.0%}",
        _signed(row["flattered"]),
        _number(row["cold_seconds"], 1),
        _signed(row["ode_gap"]) + (" discrete" if one.discrete else ""),
        " / ".join(f"{latency.median_ms / latency.batch:.3g}" for latency in one.latencies) or "-",
    ]


def _signed(value: Any) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _number(value: Any, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
