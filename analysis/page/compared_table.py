"""The table of a comparison, as people read it: on the page, in its file, in the terminal."""

from __future__ import annotations

from analysis.compared import Compared
from analysis.statistics import Sample


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
