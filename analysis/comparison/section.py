"""The report section of a comparison."""

from __future__ import annotations

import json

import pandas as pd

from analysis.comparison.export import to_markdown
from analysis.comparison.load import load_comparison
from analysis.comparison.plots import comparison_plots
from analysis.comparison.table import comparison_table
from analysis.comparison.text import notes, summarize
from analysis.load import Run
from analysis.section import Section
from analysis.spreadsheet import to_csv


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
        files={
            "comparison.md": to_markdown(run.manifest, answer, table, remarks),
            "comparison.json": json.dumps(records, allow_nan=False, indent=1),
            "comparison.csv": to_csv(pd.DataFrame(records)),
        },
        complete=bool(comparison.measured),
    )
