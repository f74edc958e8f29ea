"""Panels of the help in which options are shown, and values that several options parse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import typer

from tune_ode.errors import UsageError
from tune_ode.text import parse_duration

PANELS = ("Question", "Space", "Budget", "Strategy", "Resources", "Output", "Advanced")
"""In the order of the help."""
_BARE_SECONDS = 60
"""A time budget below this needs a unit: starting takes half a minute, so minutes may be meant."""


def _panel(name: str) -> Callable[..., Any]:
    """Return `typer.Option` for options of a panel."""
    return partial(typer.Option, rich_help_panel=name)


question, space, budget, strategy, resources, output, advanced = map(_panel, PANELS)


def duration(text: str) -> float:
    """Parse a duration option; see `tune_ode.text.parse_duration`."""
    try:
        return parse_duration(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


def budget_duration(text: str) -> float:
    """Parse the time budget of a search, whose unit may be omitted for a minute or more."""
    if text.isdecimal() and 0 < int(text) < _BARE_SECONDS:
        raise typer.BadParameter(f"'{text}' has no unit; write {text}s or {text}min")
    return duration(text)
