"""Numbers and durations as text, and durations from text."""

import pytest

from tune_ode.errors import UsageError
from tune_ode.text import (
    format_clock,
    format_duration,
    parse_duration,
    pluralize,
    printable,
    sparkline,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("10s", 10),
        ("1.5m", 90),
        ("6m", 360),
        ("5min", 300),
        ("1h30m", 5400),
        ("1h 30 min", 5400),
        (" 2h ", 7200),
        ("2 hours", 7200),
        ("1 Day 1 sec", 86401),
        ("1d", 86400),
        ("90 seconds", 90),
    ],
)
def test_durations_are_parsed(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-1s", "1.2.3s", "30m1h", "1h30", "1:30", "5 months", "fast", "nan", "inf"]
)
def test_invalid_durations_are_rejected(text):
    with pytest.raises(UsageError, match=f"expected a duration such as .*, found '{text}'"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "duration", "clock"),
    [
        (0, "0 s", "0:00"),
        (59.6, "59.6 s", "1:00"),
        (90, "1.5 min", "1:30"),
        (7265, "2.02 h", "2:01:05"),
    ],
)
def test_durations_are_formatted(seconds, duration, clock):
    assert (format_duration(seconds), format_clock(seconds)) == (duration, clock)


def test_counts_have_a_noun_in_the_right_number():
    counts = [pluralize(number, "trial") for number in (0, 1, 2, 1200)]
    assert counts == ["no trials", "1 trial", "2 trials", "1,200 trials"]


def test_bytes_that_are_not_unicode_can_be_drawn():
    assert printable("caf\udce9 🙂") == "caf\\udce9 🙂"


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 5, ""),
        ([1.0], 5, "▁"),
        ([3, 3, 3], 5, "▁▁▁"),
        ([0, 7], 0, ""),
        ([0, 7], -1, ""),
        ([7, 0], 5, "█▁"),
        (range(8), 8, "▁▂▃▄▅▆▇█"),
        (range(1000), 3, "▁▄█"),
    ],
)
def test_sparklines(values, width, line):
    assert sparkline(values, width) == line
