"""Table of a confirmation."""

from __future__ import annotations

from typing import Any

from analysis.confirmation.data import Candidate, ConfirmationSummary
from analysis.section import MISSING, Cell, Column, Table, number_cell

_COLUMNS = (
    Column("rank"), Column("trial", numeric=False), Column("seeds", spare=1),
    Column("test accuracy"), Column("validation", spare=5), Column("s to floor"),
    Column("accuracy/s"), Column("P(best)"), Column("vs. default", numeric=False),
    Column("search rank", spare=6), Column("optimism", spare=2),
    Column("train s", spare=6), Column("cold s", spare=3),
    Column("ODE gap", spare=2), Column("latency ms", spare=4),
)  # fmt: skip


def confirmation_table(confirmation: ConfirmationSummary) -> Table:
    """Return one row per candidate, best first."""
    rows = tuple(
        _row(one, record)
        for one, record in zip(confirmation.candidates, confirmation.to_records(), strict=True)
    )
    return Table(_COLUMNS, rows)


def _row(one: Candidate, record: dict[str, Any]) -> tuple[Cell, ...]:
    def cell(name: str, spec: str) -> Cell:
        low = record.get(f"{name}_low")
        interval = None if low is None else (low, record[f"{name}_high"])
        return number_cell(record[name], spec, interval)

    trainings, completed = record["trainings"], record["completed"]
    seconds = cell("seconds_to_floor", ".2f")
    if one.reached < trainings:
        reached = f"{one.reached} of {trainings}"
        seconds = Cell(seconds.text, f"{seconds.detail}; {reached}".removeprefix("; "))
    verdict = record["verdict"]
    return (
        Cell(str(record["rank"] or MISSING)),
        Cell(one.trial_id),
        Cell(str(trainings) if completed == trainings else f"{completed} of {trainings}"),
        cell("test_accuracy", ".4f"),
        cell("val_accuracy", ".4f"),
        seconds,
        cell("accuracy_per_second", ".3f"),
        cell("prob_best", ".0%"),
        Cell(verdict, bad=verdict.startswith("failed")),
        Cell(str(one.search_rank or MISSING)),
        cell("optimism", "+.4f"),
        cell("train_seconds", ".2f"),
        cell("cold_seconds", ".1f"),
        Cell(cell("ode_gap", "+.4f").text, "discrete" * one.discrete, bad=one.discrete),
        Cell(
            " / ".join(f"{latency.median_ms:.3g}" for latency in one.latencies) or MISSING,
            " / ".join(
                f"{latency.low_ms:.3g} – {latency.high_ms:.3g}" for latency in one.latencies
            ),
        ),
    )
