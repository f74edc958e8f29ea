"""A comparison's files beside its report: table and paragraph as Markdown, JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis.compared import Compared
from analysis.page import compared_words
from analysis.page.compared_table import table
from analysis.plots import COMPARISON
from tune_ode.paths import RunPath
from tune_ode.records import RunManifest


def comparison_files(
    compared: Compared, manifest: RunManifest, folder: RunPath
) -> dict[RunPath, str]:
    """Return comparison.md, comparison.json and comparison.csv with their contents.

    Args:
        compared: the comparison.
        manifest: of its run.
        folder: that they are to stand in.
    """
    rows = compared.to_records()
    return {
        folder / "comparison.md": markdown(compared, manifest),
        folder / "comparison.json": json.dumps(rows, allow_nan=False, indent=1),
        folder / "comparison.csv": pd.DataFrame(rows).to_csv(index=False),
    }


def markdown(compared: Compared, manifest: RunManifest) -> str:
    """Return the comparison as a page: paragraph, table, chart, where it was measured."""
    headings, rows = table(compared)
    lines = [
        f"# {manifest.name}",
        "",
        compared_words.paragraph(compared),
        "",
        _row(headings),
        _row(["---", *["---:"] * (len(headings) - 1)]),
        *map(_row, rows),
        "",
        *(f"{note}\n" for note in compared_words.notes(compared)),
        f"![Training and test accuracy over epochs]({COMPARISON}.png)",
        "",
        _where(manifest),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _where(manifest: RunManifest) -> str:
    versions, hardware = _listed(manifest.versions), _listed(manifest.hardware)
    revision = f", revision {manifest.revision}" if manifest.revision else ""
    return f"Measured on {hardware}; {versions}{revision}."


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
