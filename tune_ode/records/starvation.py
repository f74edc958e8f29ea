"""Whether a training waits for CPU cores that other programs use."""

from __future__ import annotations

from tune_ode.records.schema import Report

MOST_WAITING = 0.25
"""Largest share of the time of runnable threads that they may wait for a core."""


def starvation(report: Report) -> str | None:
    """Return one line if the training of a report is starved, with the remedy, else None."""
    waiting, running = report.train_waiting_seconds, report.train_cpu_seconds
    if report.device != "cpu" or not waiting or running is None:
        return None
    share = waiting / (waiting + running)
    if share <= MOST_WAITING:
        return None
    return (
        f"other programs use the CPU cores: this training waits {share:.0%} of its time for one, "
        "so its seconds are too long; end the other programs, or give it fewer cores"
    )
