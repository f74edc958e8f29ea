"""How a trial ends whose worker, or driver, died."""

from __future__ import annotations

from dataclasses import dataclass

from tune_ode.records import STACK, Outcome
from tune_ode.tuning.search.limits import MAX_CRASHES
from tune_ode.worker.task import TrialEnd

_SHORT_OF_MEMORY = (
    "killed, because its machine was short of memory; close other programs there, or run fewer "
    "trials at once: --max-concurrent"
)


@dataclass(frozen=True, kw_only=True)
class Crash:
    """Why the process of a trial died."""

    cause: str = "killed, or out of the machine's memory"
    short_of_memory: bool = False
    """Whether it was killed to free memory of its machine, whoever used it."""
    with_node: bool = False
    """Whether its node left too, such as a preempted one; that is not the trial's fault."""


KILLED = Crash()


def after_hang(stack: str, report_timeout: float | None) -> TrialEnd:
    """Fail a trial that the watchdog ended: another attempt would hang again.

    Args:
        stack: stack traces of the worker.
        report_timeout: seconds that it had not reported for.
    """
    reason = f"no report for {report_timeout:g} s; {STACK} shows where it hung"
    return TrialEnd(outcome=Outcome.FAILED, reason=reason, traceback=stack)


def after_crash(crashes: int, crash: Crash = KILLED, *, died: str = "its process") -> TrialEnd:
    """Interrupt a trial, which is then restarted, or end it after `MAX_CRASHES` restarts.

    Args:
        crashes: crashed attempts, including this one unless its node left.
        crash: why this attempt died.
        died: what died.
    """
    cause = _SHORT_OF_MEMORY if crash.short_of_memory else crash.cause
    if crashes > MAX_CRASHES:
        outcome = Outcome.OUT_OF_MEMORY if crash.short_of_memory else Outcome.FAILED
        return TrialEnd(outcome=outcome, reason=f"{died} died {crashes} times: {cause}")
    reason = "its node left" if crash.with_node else f"{died} died: {cause}"
    return TrialEnd(outcome=Outcome.INTERRUPTED, reason=reason)
