"""A job as it is told of: what became of it, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

RUN = "tune_ode_run"
"""Key in a job's metadata: the run folder."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of `tune-ode` on a cluster."""

    id: str
    run: str
    """Its run folder, a path on the cluster or a URL."""
    state: str
    """`pending`, `running`, `stopped`, `succeeded` or `failed`."""
    started: float | None
    ended: float | None
    """Unix seconds."""
    message: str
    """Why it failed, in one line; empty where it did not."""

    @classmethod
    def of(cls, details: Any) -> Self:
        """Return what Ray's description of a job, its `JobDetails`, says."""
        return cls(
            id=str(details.submission_id),
            run=(details.metadata or {})[RUN],
            state=str(details.status).lower(),
            started=details.start_time and details.start_time / 1000,
            ended=details.end_time and details.end_time / 1000,
            message=_why(details) if details.status == "FAILED" else "",
        )

    @property
    def has_ended(self) -> bool:
        """Whether it is neither running nor waiting to run."""
        return self.state not in {"pending", "running"}


def describe_state(job: Job) -> str:
    """Return what became of a job, to follow `it`."""
    words = {"pending": "is waiting to start", "running": "is running", "stopped": "was stopped"}
    return words.get(job.state, job.state) + (f": {job.message}" if job.message else "")


def _why(details: Any) -> str:
    if details.error_type == "RUNTIME_ENV_SETUP_FAILURE":
        return (
            "a node could not install the code that was shipped; Ray runs `pip` for that, which "
            "must be in the PATH that Ray was started with"
        )
    # the log's tail stands in it, and what a command prints last is why it ends
    lines = (details.message or "").strip().splitlines()
    return lines[-1] if lines else ""
