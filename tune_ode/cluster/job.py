"""State of a job on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

RUN = "tune_ode_run"
"""Key of the run directory in a job's metadata."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of `tune-ode` on a cluster."""

    id: str
    run: str
    """Run directory: a path on the cluster or a URL."""
    state: str
    """`pending`, `running`, `stopped`, `succeeded` or `failed`."""
    started: float | None
    """Unix seconds."""
    ended: float | None
    """Unix seconds."""
    message: str
    """Why it failed, in one line; otherwise empty."""

    @classmethod
    def from_details(cls, details: Any) -> Self:
        """Return the job that Ray's `JobDetails` describe."""
        output = (details.message or "").strip().splitlines()
        return cls(
            id=str(details.submission_id),
            run=(details.metadata or {})[RUN],
            state=str(details.status).lower(),
            started=details.start_time and details.start_time / 1000,
            ended=details.end_time and details.end_time / 1000,
            # the message ends with the log's last line, which is the error message of a command
            message=output[-1] if output and details.status == "FAILED" else "",
        )

    @property
    def has_ended(self) -> bool:
        """Whether it is neither pending nor running."""
        return self.state not in {"pending", "running"}


def describe_state(job: Job) -> str:
    """Return the state of a job as the predicate of a sentence."""
    text = {"pending": "is pending", "running": "is running", "stopped": "was stopped"}
    return text.get(job.state, job.state) + (f": {job.message}" if job.message else "")
