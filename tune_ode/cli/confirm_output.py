"""What `confirm` prints: the plan before it; after it the re-ranked table and what it means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from analysis.confirmed import Candidate, Confirmed
from analysis.load import load_run
from analysis.load_confirmed import load_confirmed
from analysis.page import confirmed_words
from analysis.rank import rank
from analysis.report import write_report
from tune_ode.errors import Interrupted, RunFailed, RunFolderError
from tune_ode.paths import shown

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.replication.compare_plan import ComparePlan
    from tune_ode.replication.confirm import ReplicationResult
    from tune_ode.replication.confirm_plan import ConfirmPlan


def print_confirmation_plan(chosen: ConfirmPlan, console: Console) -> None:
    """Print a plan."""
    names = [one.confirms for one in chosen.candidates]
    best = ", ".join(name for name in names[: chosen.top] if name.isdigit())
    budget = f", up to {chosen.budget_seconds:.3g} s of training each" * bool(chosen.budget_seconds)
    default = f"; default configuration: {chosen.default}"
    lines = [
        f"confirm   trials {best} of {chosen.path}{default}",
        f"seeds     {len(chosen.seeds)} fresh ones from {chosen.seeds[0]}, the same for each: "
        f"{len(names) * len(chosen.seeds)} trainings, one at a time{budget}",
        f"on        {chosen.resources.need}; {chosen.resources.cluster.inventory}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_confirmation_result(
    chosen: ConfirmPlan, end: ReplicationResult, console: Console, *, as_json: bool
) -> None:
    """Print what was confirmed, and write the run's report.

    Raises:
        Interrupted: it was interrupted.
        RunFailed: no training was completed.
    """
    run = load_run(chosen.path)
    confirmed = load_confirmed(run, rank(run))
    if confirmed is not None:
        if as_json:
            rows = [json.dumps(row, allow_nan=False) for row in confirmed.to_records()]
            print("[\n" + ",\n".join(rows) + "\n]")
        else:
            print_confirmed(confirmed, console)
        try:
            page = shown(write_report(chosen.path))
        except RunFolderError as error:
            page = str(error)
        console.print(f"report    {page}", highlight=False, markup=False, soft_wrap=True)
    measured = confirmed is not None and any(one.test.count for one in confirmed.candidates)
    raise_unless_measured(chosen, end, measured=measured)


def raise_unless_measured(
    chosen: ConfirmPlan | ComparePlan, end: ReplicationResult, *, measured: bool
) -> None:
    """Raise where trainings were interrupted, or none of them was completed.

    Raises:
        Interrupted: says how to continue.
        RunFailed: says where the reasons stand.
    """
    if end.interrupted:
        raise Interrupted(f"interrupted; to continue: {chosen.resume_command}")
    if not measured:
        worst = ", ".join(f"{many} {outcome}" for outcome, many in end.outcomes.items())
        raise RunFailed(
            f"no training was completed ({worst or 'as before'}); the reasons stand in the "
            f"outcome.json files of {chosen.folder}"
        )


def print_confirmed(confirmed: Confirmed, console: Console) -> None:
    """Print the candidates, best first, how each stands against the default, and notes."""
    headings = [name for name, least in _HEADINGS.items() if console.width >= least]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("place", "trial"):
        table.add_column(heading, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("against the default", min_width=20)
    for place, one in enumerate(confirmed.candidates, 1):
        verdict = confirmed.verdict(one)
        figures = _figures(one, intervals=console.width >= _WITH_INTERVALS)
        table.add_row(
            str(place) if one.reached else "-",
            one.trial_id,
            *(figures[heading] for heading in headings),
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


_WITH_INTERVALS = 175
_HEADINGS = {
    "test accuracy": 0, "validation": 130, "s to floor": 0, "acc./s": 0, "first": 0,
    "flattered": 90, "cold s": 110, "ODE gap": 90, "ms/image": 110,
}  # fmt: skip
"""What is shown of each → columns that the terminal must have."""


def _figures(one: Candidate, *, intervals: bool) -> dict[str, str]:
    row = one.figures()

    def with_interval(name: str, digits: int) -> str:
        text = _number(row[name], digits)
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        if not intervals or low is None:
            return text
        return f"{text} [{low:.{digits - 1}f}, {high:.{digits - 1}f}]"

    first = row["probability_first"]
    per_image = [f"{latency.median_ms / latency.batch:.2g}" for latency in one.latencies]
    return {
        "test accuracy": with_interval("test_accuracy", 4),
        "validation": with_interval("val_accuracy", 4),
        "s to floor": with_interval("seconds_to_floor", 2),
        "acc./s": with_interval("accuracy_per_second", 3),
        "first": "-" if first is None else f"{first:.0%}",
        "flattered": _signed(row["flattered"]),
        "cold s": _number(row["cold_seconds"], 1),
        "ODE gap": _signed(row["ode_gap"]) + (" discrete" if one.discrete else ""),
        "ms/image": " / ".join(per_image) or "-",
    }


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
