"""Table of a comparison."""

from __future__ import annotations

from analysis.comparison.data import ComparisonSummary
from analysis.section import MISSING, Cell, Column, Table, number_cell
from analysis.statistics import Sample


def comparison_table(comparison: ComparisonSummary) -> Table:
    """Return one row per case."""
    memory = any(case.peak_memory == case.peak_memory for case in comparison.cases)
    published = any(map(comparison.published, comparison.cases))
    columns = [
        Column("case", numeric=False),
        Column("s/epoch"),
        Column("wall s/epoch", spare=1),
        Column("NFE-F"),
        Column("NFE-B"),
        Column("VJP", spare=1),
        *[Column("peak memory")] * memory,
        Column("train acc.", spare=1),
        Column("test acc."),
    ]
    if published:
        columns.append(Column("published s/epoch", spare=2))
        columns.append(Column("published NFE-F/B", spare=2))
    rows = []
    for case in comparison.cases:
        cells = [
            Cell(case.name),
            _sample_cell(case.seconds, ".3g"),
            _sample_cell(case.wall_seconds, ".3g"),
            *(
                number_cell(n, ".3g")
                for n in (case.nfe_forward, case.nfe_backward, case.vjp_backward)
            ),
        ]
        if memory:
            mebibytes = number_cell(case.peak_memory / 2**20, ".3g").text
            cells.append(Cell(mebibytes if mebibytes == MISSING else f"{mebibytes} MiB"))
        cells += [number_cell(case.train.mean, ".4f"), _sample_cell(case.test, ".4f")]
        if published:
            known = comparison.published(case)
            cells.append(Cell(f"{known.seconds:g}" if known else MISSING))
            cells.append(
                Cell(f"{known.nfe_forward:g}/{known.nfe_backward:g}" if known else MISSING)
            )
        rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows))


def _sample_cell(sample: Sample, spec: str) -> Cell:
    return number_cell(sample.mean, spec, sample.interval())
