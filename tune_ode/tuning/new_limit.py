"""A search that reached a limit is finished: a resume must give it a new one."""

from __future__ import annotations

from collections.abc import Collection

from tune_ode.errors import UsageError
from tune_ode.paths import display_path
from tune_ode.runs.folder import RunFolder
from tune_ode.text import format_clock, pluralize
from tune_ode.tuning.search.progress import GPU_HOURS, PATIENCE, TARGET, TIME_BUDGET

_NEW_LIMITS = {
    TIME_BUDGET: ("time_budget", "trials"),
    GPU_HOURS: ("gpu_hours",),
    TARGET: ("target_accuracy",),
    PATIENCE: ("patience",),
}
"""Limit that a search reached → the options that let it continue."""


def gives_new_budget(changes: Collection[str]) -> bool:
    """Return whether the time budget starts again with a resume that changes these options."""
    return not {"time_budget", "trials"}.isdisjoint(changes)


def require_new_limit(folder: RunFolder, changes: Collection[str]) -> None:
    """Check that a resume of a search that reached a limit gives it a new one.

    Raises:
        UsageError: it does not.
    """
    reason = folder.manifest.stop_reason
    if folder.manifest.state != "finished" or reason is None:
        return  # a search that ran all of its trials may have lost the result of one
    if set(_NEW_LIMITS.get(_limit(reason), ())).isdisjoint(changes):
        raise finished_error(folder)


def finished_error(folder: RunFolder) -> UsageError:
    """Return the error of a resume that has nothing to do: what was used, and what to raise."""
    manifest = folder.manifest
    line = f"{display_path(folder.location)} is {manifest.ending}"
    if manifest.options.get("command") != "search":
        return UsageError(line)
    used = f"{format_clock(manifest.seconds)} and {pluralize(len(folder.specs()), 'trial')}"
    names = _NEW_LIMITS.get(_limit(manifest.stop_reason or ""), ())
    if manifest.stop_reason is None:
        names = ("trials",)
    options = " or ".join(f"--{name.replace('_', '-')}" for name in names)
    remedy = f"to continue, raise the limit with {options}" if options else "nothing is left to try"
    return UsageError(f"{line} after {used}; {remedy}")


def _limit(reason: str) -> str:
    return reason.partition(":")[0]
