"""Styles that can be read on light and on dark terminals: neither yellow nor blue."""

from __future__ import annotations

from collections.abc import Mapping

WARNING = "bold magenta"
_OUTCOMES: Mapping[str, str] = {
    "completed": "green", "stopped": "", "running": "cyan", "interrupted": "magenta",
}  # fmt: skip


def outcome_style(outcome: str) -> str:
    """Return the style of a trial's outcome; failures are red."""
    return _OUTCOMES.get(outcome, "red")
