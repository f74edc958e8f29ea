"""Export a comparison as Markdown, JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.section import Table
from tune_ode.records import RunManifest


def export_comparison(
    manifest: RunManifest,
    records: Sequence[Mapping[str, Any]],
    answer: str,
    table: Table,
    notes: Iterable[str],
) -> dict[str, str]:
    """Return the contents of comparison.md, comparison.json and comparison.csv by file name."""
    return {
        "comparison.md": _markdown(manifest, answer, table, notes),
        "comparison.json": json.dumps(records, allow_nan=False, indent=1),
        "comparison.csv": pd.DataFrame(records).to_csv(index=False),
    }


def _markdown(manifest: RunManifest, answer: str, table: Table, notes: Iterable[str]) -> str:
    versions, hardware = _listed(manifest.versions), _listed(manifest.hardware)
    revision = f", revision {manifest.revision}" if manifest.revision else ""
    lines = [
        f"# {manifest.name}",
        "",
        answer,
        "",
        _row(column.heading for column in table.columns),
        _row("---:" if column.numeric else "---" for column in table.columns),
        *(_row(cell.inline() for cell in row) for row in table.rows),
        "",
        *(f"{note}\n" for note in notes),
        "![Training and test accuracy over epochs](comparison.png)",
        "",
        f"Measured on {hardware}; {versions}{revision}.",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
