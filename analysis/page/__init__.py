"""The page of a report, rendered from a template that escapes all text from outside.

The page loads nothing and runs nothing but its own script: the content security policy names the
script by its hash, so an injected script would not run even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from analysis.load import Run, describe_passed_over
from analysis.page import text
from analysis.params import compact_params
from analysis.plots.plot import Picture
from analysis.ranking import Ranking
from analysis.ranking.best import criterion
from analysis.ranking.metrics import accuracy_within, seconds_to
from analysis.ranking.points import CLOCK_NAMES
from analysis.ranking.table import margin
from analysis.section import Section
from tune_ode.text import format_duration

MAX_ROWS = 2000
"""Trials in the table of the page; ranking.csv and ranking.json have all."""


def render(
    run: Run,
    ranking: Ranking,
    rows: list[dict[str, Any]],
    pictures: Sequence[Picture],
    sections: Sequence[Section] = (),
    *,
    refresh: float | None = None,
) -> str:
    """Return the page as HTML.

    Args:
        run: the run.
        ranking: its ranking.
        rows: the records of the ranking.
        pictures: rendered plots of the sections and of the run.
        sections: the comparison or confirmation; the first gives the answer of the page.
        refresh: seconds after which an open page reloads; None: never.
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
        "number": lambda value, digits: "–" if value is None else f"{value:.{digits}f}",
        "sort_key": lambda value: "" if value is None else str(value),
        "spaced": lambda name: str(name).replace("_", " "),
        "instant": lambda seconds: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds)),
        "duration": format_duration,
    }
    style, script = _read("report.css"), _read("report.js")
    in_section = {plot.name for section in sections for plot in section.plots}
    return environment.get_template("report.html.j2").render(
        run=run,
        manifest=run.manifest,
        ranking=ranking,
        rows=[row | {"margin": margin(row)} for row in rows[:MAX_ROWS]],
        left_out=len(rows[MAX_ROWS:]),
        columns=_columns(ranking),
        row_of={row["trial_id"]: row for row in rows},
        clock_name=CLOCK_NAMES[ranking.clock],
        disturbed_trials={row["trial_id"] for row in rows if row["clock"]},
        question=text.question(run),
        state=text.state(run),
        facts=text.facts(run),
        passed_over=describe_passed_over([run]),
        answer=sections[0].answer if sections else text.answer(run, ranking),
        sections=sections,
        confirm_command=text.confirm_command(run),
        **_best(run, ranking, sections),
        pictures=[picture for picture in pictures if picture.name not in in_section],
        picture_of={picture.name: picture for picture in pictures},
        outcomes=Counter(run.trials["outcome"]).most_common(),
        failures=text.failures(run),
        measured_on=text.measured_on(run),
        disturbed=text.disturbed(rows),
        command=text.command(run),
        now=time.time(),
        refresh=refresh,
        # Files of this package: escaping would change them and their hashes.
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _best(run: Run, ranking: Ranking, sections: Sequence[Section]) -> dict[str, str | None]:
    """Return the configuration that the answer names: confirmed, or else first of the ranking."""
    trial, first = next((one.best for one in sections if one.best), None), ranking.first_rows()
    if trial is None and not first:
        return dict.fromkeys(("yaml", "best_name", "train_command"))
    by = criterion(ranking.by if trial is None else "accuracy_per_second")
    how = "" if trial is None else ", retrained on fresh seeds"
    trial = trial or str(first[0]["trial_id"])
    searched = trial in set(run.trials["trial_id"])
    name = f"Trial {trial}" if searched else "The default configuration"
    return {
        "yaml": yaml.safe_dump(
            run.config(trial) if searched else run.manifest.base, sort_keys=False
        ),
        "best_name": f"{name} is best by {by}{how}",
        "train_command": text.train_command(run, trial) if searched else None,
    }


def _columns(ranking: Ranking) -> list[tuple[str, str, int, bool, str]]:
    """Return the numeric columns of the ranking: name, heading, digits, always shown, tooltip."""
    train = ("train_seconds", "train s", 2, True, "training seconds at that report")
    wall = ("wall_seconds", "wall s", 2, True, "wall-clock seconds at that report")
    isolated = (
        "isolated_seconds", "isolated s", 2, True,
        "training seconds at that report, estimated for an otherwise idle device",
    )  # fmt: skip
    clocks = {"isolated": (isolated, train, wall), "train": (train, wall), "wall": (wall, train)}
    report = "at the report that reaches the floor"
    return [
        ("val_accuracy", "accuracy", 4, True, f"validation accuracy {report}"),
        *clocks[ranking.clock],
        ("accuracy_per_second", "accuracy/s", 4, True, "accuracy above chance per second"),
        ("margin", "±", 4, True, "half of its 95% interval, for another seed"),
        ("best_accuracy", "best", 4, True, "best validation accuracy of all reports"),
        ("anytime", "anytime", 3, True, "area under the best accuracy so far over log-seconds"),
        ("seconds_to_floor", "s to floor", 2, False, "seconds to the floor of the ranking"),
        *(
            (seconds_to(t), f"s to {t:g}", 2, seconds_to(t) == ranking.column, f"seconds to {t:g}")
            for t in ranking.targets
        ),
        *(
            (
                accuracy_within(b), f"in {format_duration(b)}", 4,
                accuracy_within(b) == ranking.column, f"best accuracy within {format_duration(b)}",
            )
            for b in ranking.budgets
        ),
        (
            "hypervolume_contribution", "adds", 4, ranking.by == "hypervolume",
            "loss of the run's hypervolume without the trial",
        ),
        ("epochs", "epochs", 1, True, "number of epochs"),
        ("concurrent_trials", "shared", 0, True, "maximum number of trials on its node, with it"),
        ("cpu_share", "CPU share", 2, False, "CPU seconds per wall-clock second"),
        ("clock_excess", "in jumps", 3, False, "share of the training seconds in jumps"),
    ]  # fmt: skip


def _read(name: str) -> str:
    return files("analysis.page").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
