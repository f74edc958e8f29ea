"""How a trial ends whose worker, or driver, died."""

from __future__ import annotations

from tune_ode.records import STACK, Outcome
from tune_ode.tuning.search.limits import MAX_CRASHES
from tune_ode.worker.task import TrialEnd

_CAUSE = "killed, or out of the machine's memory"


def after_hang(stack: str, report_timeout: float | None) -> TrialEnd:
    """Fail a trial that the watchdog ended: another attempt would hang again.

    Args:
        stack: stack traces of the worker.
        report_timeout: seconds that it had not reported for.
    """
    reason = f"no report for {report_timeout:g} s; {STACK} shows where it hung"
    return TrialEnd(outcome=Outcome.FAILED, reason=reason, traceback=stack)


def after_crash(crashes: int, *, died: str = "its process", with_node: bool = False) -> TrialEnd:
    """Interrupt a trial, which is then restarted, or fail it after `MAX_CRASHES` restarts.

    Args:
        crashes: crashed attempts, including this one unless its node left.
        died: what died.
        with_node: whether the node left, such as a preempted one.
    """
    if crashes > MAX_CRASHES:
        reason = f"{died} died {crashes} times: {_CAUSE}"
        return TrialEnd(outcome=Outcome.FAILED, reason=reason)
    reason = "its node left" if with_node else f"{died} died: {_CAUSE}"
    return TrialEnd(outcome=Outcome.INTERRUPTED, reason=reason)
