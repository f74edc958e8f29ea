"""The page of a report: what it says in words, put into the template. All from outside is escaped.

The page may load nothing and run nothing but its own script: its content security policy names the
script by its hash, so that text which got into the page could not run even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from importlib.resources import files
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from analysis.compared import Compared
from analysis.confirmed import Confirmed
from analysis.load import Run
from analysis.metrics import accuracy_within, seconds_to
from analysis.page import compared_words, confirmed_words, words
from analysis.page.compared_table import table
from analysis.params import compact_params
from analysis.plots import COMPARISON, OF_THE_CONFIRMATION, Picture
from analysis.ranking import Ranking
from tune_ode.text import format_duration

MOST_ROWS = 2000
"""Trials in the page's table; the files beside it have all of them."""


def render(
    run: Run,
    ranking: Ranking,
    rows: list[dict[str, Any]],
    pictures: list[Picture],
    *,
    confirmed: Confirmed | None = None,
    compared: Compared | None = None,
    refresh: float | None = None,
) -> str:
    """Return the page.

    Args:
        run: as loaded.
        ranking: of it.
        rows: its records.
        pictures: drawn.
        confirmed: what was confirmed of it, if anything.
        compared: the comparison that it is, if it is one.
        refresh: seconds after which an open page loads itself anew; None: never.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "compact": compact_params,
        "number": _number,
        "exact": _exact,
        "signed": lambda value: "–" if value is None else f"{value:+.4f}",
        "spaced": lambda name: str(name).replace("_", " "),
        "instant": lambda seconds: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds)),
        "in_words": format_duration,
    }
    best = next((row for row in rows if row["rank"] == 1), None)
    style, script = _text("report.css"), _text("report.js")
    params = {row["trial_id"]: row["params"] for row in rows}
    return environment.get_template("report.html.j2").render(
        run=run,
        manifest=run.manifest,
        ranking=ranking,
        rows=rows[:MOST_ROWS],
        left_out=len(rows[MOST_ROWS:]),
        columns=_columns(ranking),
        params=params,
        best=best,
        question=words.question(run),
        state=words.state(run),
        facts=words.facts(run),
        answer=_answer(run, ranking, best, confirmed, compared),
        confirmed=confirmed,
        confirmed_rows=confirmed.to_records() if confirmed else [],
        verdicts=[*confirmed_words.failures(confirmed), *confirmed_words.discrete(confirmed)]
        if confirmed
        else [],
        notes=confirmed_words.notes(confirmed) if confirmed else [],
        compared_table=table(compared) if compared else None,
        compared_notes=compared_words.notes(compared) if compared else [],
        confirm_command=words.confirm_command(run),
        yaml=yaml.safe_dump(run.config(best["trial_id"]), sort_keys=False) if best else None,
        train_command=words.train_command(run, best["trial_id"]) if best else None,
        pictures=[one for one in pictures if one.name not in {COMPARISON, *OF_THE_CONFIRMATION}],
        chart=next((one for one in pictures if one.name == COMPARISON), None),
        confirmed_pictures=[one for one in pictures if one.name in OF_THE_CONFIRMATION],
        endings=Counter(run.trials["outcome"]).most_common(),
        failures=words.failures(run),
        measured_on=words.measured_on(run),
        disturbed=words.disturbed(rows),
        command=words.command(run),
        now=time.time(),
        refresh=refresh,
        # our own, not from outside: escaping would change them, and their hashes
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _answer(
    run: Run,
    ranking: Ranking,
    best: dict[str, Any] | None,
    confirmed: Confirmed | None,
    compared: Compared | None,
) -> str:
    if compared is not None:
        return compared_words.paragraph(compared)
    if confirmed is not None:
        return confirmed_words.answer(confirmed)
    return words.answer(run, ranking, best)


def _columns(ranking: Ranking) -> list[tuple[str, str, int, bool, str]]:
    """Return the table's figures: column, heading, decimals, whether always shown, meaning."""
    train = ("train_seconds", "train s", 2, True, "seconds of training at that report")
    wall = ("wall_seconds", "wall s", 2, True, "seconds with everything counted, at that report")
    alone = (
        "isolated_seconds", "alone s", 2, True,
        "seconds of training as if alone on the device, estimated, at that report",
    )  # fmt: skip
    clocks = {"isolated": (alone, train, wall), "train": (train, wall), "wall": (wall, train)}
    report = "of the report with the most accuracy per second"
    return [
        ("val_accuracy", "accuracy", 4, True, f"validation accuracy {report}"),
        *clocks[ranking.clock],
        ("accuracy_per_second", "accuracy/s", 4, True, "accuracy above chance per second"),
        ("best_accuracy", "best", 4, True, "best validation accuracy of all reports"),
        ("anytime", "anytime", 3, True, "area under the best accuracy so far over log-seconds"),
        ("seconds_to_floor", "s to floor", 2, False, "seconds to the floor of the ranking"),
        *(
            (seconds_to(t), f"s to {t:g}", 2, seconds_to(t) == ranking.column, f"seconds to {t:g}")
            for t in ranking.targets
        ),
        *(
            (
                accuracy_within(b), f"in {format_duration(b)}", 4, accuracy_within(b) == ranking.column,
                f"best accuracy within {format_duration(b)}",
            )
            for b in ranking.budgets
        ),
        (
            "hypervolume_contribution", "adds", 4, ranking.by == "hypervolume",
            "what the run's hypervolume would lose without it",
        ),
        ("epochs", "epochs", 1, True, "epochs trained in all"),
        ("concurrent_trials", "shared", 0, True, "most trials at once on its node, with itself"),
        ("cpu_share", "CPU share", 2, False, "CPU seconds per wall-clock second"),
        ("clock_excess", "in jumps", 3, False, "share of the training seconds in jumps"),
    ]  # fmt: skip


def _text(name: str) -> str:
    return files("analysis.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _number(value: float | None, digits: int) -> str:
    """Return a number with at most so many decimals, a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def _exact(value: Any) -> str:
    """Return what a column is sorted by; nothing for none."""
    return "" if value is None else str(value)
