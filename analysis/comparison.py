"""A comparison's files beside its report: table and paragraph as Markdown, JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis.compared import Compared, load_compared
from analysis.load import Run
from analysis.page import compared_words
from analysis.place import Place
from analysis.statistics import Sample
from tune_ode.records import RunManifest

CHART = "comparison"
"""Name of the plot that stands beside them."""


def comparison_files(run: Run, folder: Place) -> dict[Place, str]:
    """Return comparison.md, comparison.json and comparison.csv with their contents.

    Args:
        run: as loaded.
        folder: that they are to stand in.

    Returns:
        None of them where the run is no comparison.
    """
    compared = load_compared(run)
    if compared is None:
        return {}
    rows = compared.to_records()
    return {
        folder / "comparison.md": markdown(compared, run.manifest),
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
        f"![Training and test accuracy over epochs]({CHART}.png)",
        "",
        _where(manifest),
    ]
    return "\n".join(lines) + "\n"


def table(compared: Compared) -> tuple[list[str], list[list[str]]]:
    """Return the headings and, a row a case, the cells that people read."""
    memory = any(row["peak_memory_bytes"] for row in compared.to_records())
    published = any(map(compared.published, compared.cases))
    headings = [
        "case", "s/epoch", "whole", "NFE-F", "NFE-B", "VJP",
        *["peak memory"] * memory, "train acc.", "test acc.",
        *["published s/epoch", "published NFE-F/B"] * published,
    ]  # fmt: skip
    rows = []
    for case in compared.cases:
        known = compared.published(case)
        cells = [
            case.name, _cell(case.seconds, ".3g"), _cell(case.whole, ".3g"),
            *(_number(count) for count in (case.nfe_forward, case.nfe_backward, case.vjp_backward)),
            *[f"{_number(case.peak_memory / 2**20)} MiB"] * memory,
            f"{case.train.mean:.4f}" if case.train.count else "-", _cell(case.test, ".4f"),
        ]  # fmt: skip
        if published:
            cells.append(f"{known.seconds:g}" if known else "-")
            cells.append(f"{known.nfe_forward:g}/{known.nfe_backward:g}" if known else "-")
        rows.append(cells)
    return headings, rows


def _cell(sample: Sample, form: str) -> str:
    if not sample.count:
        return "-"
    low, high = sample.interval()
    interval = f" [{low:{form}}, {high:{form}}]" if sample.count > 1 else ""
    return f"{sample.mean:{form}}{interval}"


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3g}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _where(manifest: RunManifest) -> str:
    versions, hardware = _listed(manifest.versions), _listed(manifest.hardware)
    revision = f", revision {manifest.revision}" if manifest.revision else ""
    return f"Measured on {hardware}; {versions}{revision}."


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
