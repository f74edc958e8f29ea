"""The rule that ends a search whose trials all fail."""

from __future__ import annotations

import re
from collections.abc import Collection

from tune_ode.records import Outcome, TrialResult

MAX_INITIAL_FAILURES = 5
"""A search ends if this many trials, its first ones, all fail for the same reason before anything
was measured: the rest would too, since the first of them is the default configuration."""
_FAILURES = (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.DIVERGED)


def common_failure(results: Collection[TrialResult]) -> str | None:
    """Return why the first trials failed if there are `MAX_INITIAL_FAILURES` with one reason."""
    if len(results) != MAX_INITIAL_FAILURES:
        return None
    # reasons that differ in numbers only, such as bytes or epochs, are the same
    reasons = {(result.outcome, re.sub(r"\d[\d.]*", "#", result.reason)) for result in results}
    first = next(iter(results))
    if len(reasons) > 1 or first.outcome not in _FAILURES:
        return None
    return f"the first {len(results)} trials all ended as {first.outcome}: {first.reason}"
