"""Export a comparison as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.section import Table
from tune_ode.records import RunManifest


def to_markdown(manifest: RunManifest, answer: str, table: Table, notes: Iterable[str]) -> str:
    """Return the content of comparison.md."""
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
