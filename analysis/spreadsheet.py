"""Tables as CSV that a spreadsheet shows and does not compute."""

from __future__ import annotations

from typing import Any

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV; a text that a spreadsheet would take for a formula begins with `'`.

    >>> to_csv(pd.DataFrame({"x": [-1.5], "text": ["=cmd"]}))
    "x,text\\n-1.5,'=cmd\\n"
    """
    texts = [name for name, column in table.items() if column.dtype.kind not in "biuf"]
    inert = table.assign(**{str(name): table[name].map(_inert) for name in texts})
    return str(inert.rename(columns=_inert).to_csv(index=False))


def _inert(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
