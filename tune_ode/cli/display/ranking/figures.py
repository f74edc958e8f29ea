"""Columns of the ranking: figures of the trials, and the parameters in which they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from analysis.params import compact_params, format_param, headings, varied_params, without_branch
from analysis.ranking import Ranking
from analysis.ranking.table import margin
from tune_ode.cli.display.terminal import Column, outcome_style
from tune_ode.errors import UsageError, suggest_name

Row = Mapping[str, Any]

MISSING = "-"
PARAMETERS = "parameters"
"""Stands for the parameters in which the shown trials differ."""
_HEADINGS = {
    "trial_id": "trial", "val_accuracy": "accuracy", "accuracy_per_second": "acc./s",
    "best_accuracy": "best", "hypervolume_contribution": "adds", "concurrent_trials": "shared",
}  # fmt: skip
_DIGITS = {
    "val_accuracy": 4, "best_accuracy": 4, "anytime": 3, "hypervolume_contribution": 4, "epochs": 1,
    "concurrent_trials": 0,
}  # fmt: skip
_INTERVALS = {"val_accuracy": "accuracy", "accuracy_per_second": "rate"}
"""Column → prefix of the columns with the ends of its interval."""
_TEXTS = ("rank", "run", "trial_id", "outcome", "device", "clock", "reason", "tied", "pareto")
_RUN_WIDTH = 7
"""Characters of a run's name in a narrow terminal: an ellipsis, and the time in a default name."""


def default_names(ranking: Ranking, rows: Sequence[Row]) -> list[str]:
    """Return the names of the columns that are shown unless others are chosen."""
    unsettled = any(row["outcome"] in ("running", "interrupted") for row in rows)
    names = ["rank", *["run"] * (len(ranking.runs) > 1), "trial_id", *["outcome"] * unsettled]
    names += ["val_accuracy", "seconds", "accuracy_per_second"]
    if ranking.column not in (*names, "pareto"):
        names.append(ranking.column)
    return [*names, PARAMETERS]


def chosen_names(ranking: Ranking, given: Iterable[str]) -> list[str]:
    """Return the columns of a table or of the parameters that names stand for.

    Raises:
        UsageError: an unknown name.
    """
    columns = [str(name) for name in ranking.table if name != "params"]
    params = without_branch({name: 0 for trial in ranking.table["params"] for name in trial})
    short = {heading: name for name, heading in headings(params).items()}
    known = dict(short)
    known |= {_HEADINGS.get(name, name): name for name in columns}
    known |= {name: name for name in (*params, *columns, PARAMETERS)}
    names = [name.strip().partition("@")[0] if "." in name else name.strip() for name in given]
    if unknown := next((name for name in names if name not in known), None):
        shown = [_HEADINGS.get(name, name) for name in columns]
        raise UsageError(suggest_name("column", unknown, [PARAMETERS, *shown, *short]))
    return list(dict.fromkeys(known[name] for name in names if name))


def build_columns(ranking: Ranking, names: Iterable[str], rows: Sequence[Row]) -> dict[str, Column]:
    """Return columns by name; parameters in place of `PARAMETERS`."""
    params = [without_branch(row["params"]) for row in rows]
    varied = varied_params(params) if len(rows) > 1 else []
    short = headings({name: None for trial in params for name in trial})
    columns: dict[str, Column] = {}
    for name in names:
        for one in varied if name == PARAMETERS else [name]:
            if one in ranking.table:
                columns[one] = _figure(ranking, one, rows)
            else:
                values = [trial.get(one) for trial in params]
                texts = [MISSING if value is None else format_param(value) for value in values]
                number = all(isinstance(value, int | float | None) for value in values)
                heading = short.get(one, one).replace(" ", "\n")  # values are short
                columns[one] = Column(heading, list(map(Text, texts)), left=not number)
    return columns


def constants(rows: Sequence[Row]) -> str:
    """Return the parameters that are equal in all rows as text."""
    params = [without_branch(row["params"]) for row in rows]
    varied = set(varied_params(params)) if len(params) > 1 else set()
    return compact_params(
        {name: value for name, value in params[0].items() if name not in varied} if params else {}
    )


def _figure(ranking: Ranking, name: str, rows: Sequence[Row]) -> Column:
    heading = _HEADINGS.get(name, name.replace("_", " "))
    if "@" in ranking.by and name == ranking.column:
        heading = ranking.by
    if name in _TEXTS:
        texts = [_TEXT_OF.get(name, _text)(row, name) for row in rows]
        narrow = None
        if name == "run":
            cut = [Text(_shorten(row["run"])) for row in rows]
            narrow = Column(heading, cut, left=True)
        return Column(heading, texts, left=True, narrow=narrow)
    values = [row[name] for row in rows]
    if name not in _INTERVALS:
        return Column(heading, _numbers(values, _digits(name, values)))
    margins = [margin(row, _INTERVALS[name]) for row in rows]
    narrow = Column(heading, _numbers(values, _digits(name, values)))
    if all(value is None for value in margins):
        return narrow
    digits = max(_significant([value for value in margins if value], 2), 0)
    spreads = ["" if value is None else f" ±{value:.{digits}f}" for value in margins]
    longest = max(map(len, spreads))
    cells = [
        Text(number.plain + spread.ljust(longest))
        for number, spread in zip(_numbers(values, digits), spreads, strict=True)
    ]
    return Column(f"{heading} ±", cells, narrow=narrow)


def _digits(name: str, values: Sequence[float | None]) -> int:
    if name in _DIGITS or name.startswith("accuracy_within"):
        return _DIGITS.get(name, 4)
    finite = [value for value in values if value]
    return max(_significant([max(finite)], 3), _significant(finite, 2), 0) if finite else 0


def _significant(values: Sequence[float], digits: int) -> int:
    """Return the decimals that show the smallest value with some significant digits, at most 6."""
    least = min((value for value in values if value > 0), default=1.0)
    return min(digits - 1 - math.floor(math.log10(least)), 6)


def _numbers(values: Sequence[float | None], digits: int) -> list[Text]:
    return [Text(MISSING if value is None else f"{value:.{digits}f}") for value in values]


def _shorten(name: str) -> str:
    """Return the end of a run's name, where names differ."""
    return name if len(name) <= _RUN_WIDTH else f"…{name[1 - _RUN_WIDTH :]}"


def _text(row: Row, name: str) -> Text:
    value = row[name]
    return Text(format_param(value) if isinstance(value, bool) else str(value or MISSING))


def outcome_text(row: Row, name: str = "outcome") -> Text:
    """Return the outcome of a trial in its colour."""
    return Text(row[name], style=outcome_style(row[name]))


_TEXT_OF: Mapping[str, Callable[[Row, str], Text]] = {
    "rank": lambda row, name: Text(f"{row[name] or MISSING}{'=' if row['tied'] else ''}"),
    "trial_id": lambda row, name: Text(
        f"{row[name]}{'*' if row['pareto'] else ''}{'!' if row['clock'] else ''}"
    ),
    "outcome": outcome_text,
}
