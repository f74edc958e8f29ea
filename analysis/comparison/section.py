"""The report section of a comparison."""

from __future__ import annotations

from analysis.comparison.export import export_comparison
from analysis.comparison.load import load_comparison
from analysis.comparison.plots import comparison_plots
from analysis.comparison.table import comparison_table
from analysis.comparison.text import notes, summarize
from analysis.load import Run
from analysis.section import Section


def comparison_section(run: Run) -> Section | None:
    """Return the section of a comparison; None if the run is not one, or has no reports yet."""
    comparison = load_comparison(run)
    if comparison is None:
        return None
    answer, table = summarize(comparison), comparison_table(comparison)
    remarks, records = tuple(notes(comparison)), comparison.to_records()
    return Section(
        title="Comparison",
        answer=answer,
        table=table,
        notes=remarks,
        plots=comparison_plots(comparison),
        records=records,
        files=export_comparison(run.manifest, records, answer, table, remarks),
        complete=bool(comparison.measured),
    )
