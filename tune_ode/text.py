"""Numbers and durations as text, and durations from text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tune_ode.errors import UsageError

Controls = Mapping[int, str | None]
"""A table for `str.translate`."""
_C0_C1_BIDI = (
    *range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, 0x2028, 0x2029,
    *range(0x202A, 0x202F), *range(0x2066, 0x206A),
)  # fmt: skip
_SURROGATES = {*range(0xD800, 0xE000)} - {*range(0xDCA0, 0xDD00)}
"""Without those that stand for bytes of a path that are not Unicode; of these, the encodings of
control characters have at least one in the range that is excluded here."""
TEXT: Controls = MappingProxyType(
    dict.fromkeys(set(_C0_C1_BIDI) - {ord("\n"), ord("\t")}) | dict.fromkeys(_SURROGATES, "\ufffd")
)
"""Removes what a terminal would obey instead of showing it: control characters of C0 and C1, and
those that reorder text (Unicode's Bidi_Control)."""
LINE: Controls = MappingProxyType({**TEXT, ord("\r"): " ", ord("\n"): " ", ord("\t"): " "})
"""As `TEXT`, for text of one line."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_UNITS = {
    "d|days?": 86400, "h|hrs?|hours?": 3600, "m|mins?|minutes?": 60, "s|secs?|seconds?": 1,
}  # fmt: skip
"""Regular expression of a unit → its seconds."""
_DURATION = re.compile(
    r"\s*".join(rf"(?:{_NUMBER}\s*(?:{unit}))?" for unit in _UNITS), re.IGNORECASE
)

_BLOCKS = "▁▂▃▄▅▆▇█"


def pluralize(number: int, noun: str) -> str:
    """Return a count with its noun; zero is "no".

    >>> pluralize(1, "GPU"), pluralize(0, "GPU"), pluralize(1200, "trial")
    ('1 GPU', 'no GPUs', '1,200 trials')
    """
    return f"{f'{number:,}' if number else 'no'} {noun}{'s' * (number != 1)}"


def without_controls(text: str, table: Controls = LINE) -> str:
    r"""Return text from a file of another person for a terminal, a page or a table.

    >>> without_controls("red \x1b[31m, \u202eleft\n")
    'red [31m, left '
    """
    return text if text.isascii() and text.isprintable() else text.translate(table)


def printable(text: str) -> str:
    r"""Return text for a font: bytes of a path that are not valid Unicode as escapes, `\udcff`."""
    return text.encode(errors="backslashreplace").decode()


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: `90`, `90s`, `5min`, `2 hours`, `1h30m`, `1d`.

    Raises:
        UsageError: not a duration above 0.
    """
    stripped = text.strip()
    if re.fullmatch(_NUMBER, stripped):  # not after a unit: 1h30 would be ambiguous
        stripped += "s"
    parts = match.groups() if (match := _DURATION.fullmatch(stripped)) else ()
    total = sum(float(part or 0) * unit for part, unit in zip(parts, _UNITS.values(), strict=False))
    if not total > 0:
        raise UsageError(f"expected a duration such as 90s, 5min, 1h30m or 1d, found '{text}'")
    return total


def format_duration(seconds: float) -> str:
    """Return a duration in its largest unit: 10 s, 1 min, 3 h.

    >>> format_duration(90)
    '1.5 min'
    """
    for unit, seconds_per_unit in (("h", 3600.0), ("min", 60.0)):
        if seconds >= seconds_per_unit:
            return f"{seconds / seconds_per_unit:.3g} {unit}"
    return f"{seconds:.3g} s"


def format_clock(seconds: float) -> str:
    """Return a duration as minutes:seconds, such as 1:05, or 2:01:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as blocks from their lowest to their highest, at most `width` of them.

    >>> sparkline([0, 1, 2, 7], 10), sparkline(range(100), 4)
    ('▁▂▃█', '▁▃▆█')
    """
    if not values or width < 1:
        return ""
    if len(values) > width:  # the last value is one of those that are kept
        values = [values[(index + 1) * len(values) // width - 1] for index in range(width)]
    low, high = min(values), max(values)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in values)
