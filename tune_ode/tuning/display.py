"""What a running search shows; the command line has displays for terminals."""

from __future__ import annotations

import contextlib
from typing import Self

from tune_ode.records import Report


class Display:
    """A display that shows nothing; a context manager around the run of a search."""

    def __enter__(self) -> Self:
        """Start to show the search."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop."""

    def tick(self) -> None:
        """Show news; called several times per second."""

    def on_report(self, report: Report) -> None:
        """Show a report, which is recorded; what it raises ends the search, which can resume."""

    def on_batch(self, epoch: float) -> None:
        """Show that `epoch` epochs are trained; called after every batch by `train` only."""

    def print(self, text: str) -> None:
        """Print a line; may be called from another thread."""

    def status(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Return a context in which a text is shown, while no trial runs."""
        return contextlib.nullcontext()
