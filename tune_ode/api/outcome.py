"""Errors of a search or training that ended without a result."""

from __future__ import annotations

from analysis.load import Run
from tune_ode.errors import Interrupted, RunFailed
from tune_ode.paths import shell_quoted
from tune_ode.records import SEARCH_ENDED, Outcome
from tune_ode.tuning.launch import SearchResult


def check_outcome(result: SearchResult, run: Run) -> None:
    """Check that a search or training has a result.

    Args:
        result: how it ended.
        run: as loaded after its end.

    Raises:
        Interrupted: the run was interrupted.
        RunFailed: the run failed, or nothing was measured.
    """
    folder = shell_quoted(result.run_folder)
    if result.interrupted:
        raise Interrupted(f"interrupted; to continue: tune-ode resume {folder}")
    if run.manifest.options["command"] == "train":
        outcome, reason = run.trials[["outcome", "reason"]].iloc[0]
        if outcome != Outcome.COMPLETED:
            raise RunFailed(f"the training ended as {outcome}: {reason}")
    if result.failed:
        raise RunFailed(f"the search ended: {result.stop_reason}")
    if not len(run.reports):
        why = f": {result.stop_reason}" if result.stop_reason else ""
        cut_off = run.trials["reason"] == SEARCH_ENDED
        has_reasons = (~cut_off & (run.trials["outcome"] != Outcome.INTERRUPTED)).any()
        hint = f"; see the reasons with: tune-ode rank {folder}" if has_reasons else ""
        raise RunFailed(f"no trial was measured{why}{hint}")
