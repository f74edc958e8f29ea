"""The report section of a confirmation."""

from __future__ import annotations

import json

from analysis.confirmation.load import load_confirmation
from analysis.confirmation.plots import confirmation_plots
from analysis.confirmation.table import confirmation_table
from analysis.confirmation.text import answer, notes, warnings
from analysis.load import Run
from analysis.ranking import Ranking
from analysis.section import Section


def confirmation_section(run: Run, ranking: Ranking) -> Section | None:
    """Return the section of a run's confirmation; None if no training of it has ended."""
    confirmation = load_confirmation(run, ranking)
    if confirmation is None:
        return None
    records = confirmation.to_records()
    return Section(
        title="Confirmation",
        answer=answer(confirmation),
        best=confirmation.candidates[0].trial_id if confirmation.candidates[0].reached else None,
        warnings=tuple(warnings(confirmation)),
        table=confirmation_table(confirmation),
        notes=tuple(notes(confirmation)),
        plots=confirmation_plots(confirmation),
        records=records,
        files={"confirmed.json": json.dumps(records, allow_nan=False, indent=1)},
        complete=any(one.test.count for one in confirmation.candidates),
    )
