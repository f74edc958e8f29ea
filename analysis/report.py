"""The report of a run: one self-contained page, its plots as files, the ranking as CSV and JSON."""

from __future__ import annotations

import base64
import io
import json
import shlex
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from analysis import plots
from analysis.load import Run, load_run
from analysis.rank import Ranking, compact_params, rank
from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.records import Outcome

_READABLE_ENDINGS = (Outcome.COMPLETED, Outcome.STOPPED, "running", Outcome.INTERRUPTED)
"""Endings that are no failures."""


@dataclass(frozen=True)
class Picture:
    """A plot of the page."""

    name: str
    """Of its PNG file, without the ending."""
    how_to_read: str
    png: bytes

    @property
    def data_url(self) -> str:
        """The PNG inside the page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def write_report(
    folder: Path,
    *,
    by: str = "accuracy_per_second",
    floor: float | None = None,
    clock: str = "train",
) -> Path:
    """Write index.html, the plots, ranking.csv and ranking.json into RUN/report; return the page.

    Args:
        folder: the run.
        by: what to rank by, a name of `rank.MEASURES`.
        floor: least validation accuracy to be ranked; None: 0.05 under the best.
        clock: a name of `rank.CLOCKS`.

    Raises:
        RunFolderError: there is no run, or its report cannot be written.
        QuestionError: an unknown measure or clock.
    """
    run = load_run(folder)
    ranking = rank(run, by=by, floor=floor, clock=clock)
    pictures = draw(run, ranking)
    report = folder / records.REPORT
    try:
        report.mkdir(exist_ok=True)
        for picture in pictures:
            records.replace_file(report / f"{picture.name}.png", picture.png)
        records.replace_file(report / "ranking.csv", ranking.to_csv())
        rows = json.dumps(ranking.to_records(), allow_nan=False, indent=1)
        records.replace_file(report / "ranking.json", rows)
        page = report / "index.html"
        records.replace_file(page, render(run, ranking, pictures))
    except OSError as error:
        raise RunFolderError(f"cannot write the report to {report}: {error.strerror}") from None
    return page


def draw(run: Run, ranking: Ranking) -> list[Picture]:
    """Draw the report's plots."""
    drawn, ax = plots.figure(9, 5.5)
    plots.plot_curves(plots.curves_data(run, ranking), ax)
    curves = Picture(
        "accuracy-over-time",
        "Up and to the left is better. Coloured: the best trials of the ranking; grey: the others; "
        "dashed: the best of all by that time; dotted: the floor a trial must reach to be ranked.",
        _png(drawn),
    )
    drawn, ax = plots.figure(9, 5)
    plots.plot_front(plots.front_data(run, ranking), ax)
    front = Picture(
        "accuracy-against-time",
        "Every report of every trial is a point. The blue steps join those that no other beats in "
        "both time and accuracy, named by trial where one takes over; along a dotted line, "
        "accuracy per second is equal.",
        _png(drawn),
    )
    return [curves, front]


def render(run: Run, ranking: Ranking, pictures: list[Picture]) -> str:
    """Return the page; everything that came from outside is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["compact"] = compact_params
    environment.filters["number"] = _number
    rows = ranking.to_records()
    best = rows[0] if rows and rows[0]["rank"] == 1 else None
    config = best and _config_of(run, best["trial_id"])
    return environment.get_template("report.html.j2").render(
        run=run,
        manifest=run.manifest,
        ranking=ranking,
        rows=rows,
        best=best,
        answer=_answer(run, ranking, best),
        yaml=yaml.safe_dump(config, sort_keys=False) if config else None,
        pictures=pictures,
        endings=Counter(run.trials["outcome"]).most_common(),
        failures=_failures(run),
        command=_command(run.manifest.question),
        written=time.strftime("%Y-%m-%d %H:%M"),
        created=time.strftime("%Y-%m-%d %H:%M", time.localtime(run.manifest.created)),
    )


def _answer(run: Run, ranking: Ranking, best: dict[str, Any] | None) -> str:
    if best is None:
        return "No trial measured an accuracy, so there is nothing to rank."
    seconds = "training" if ranking.clock == "train" else "wall-clock time"
    answer = (
        f"Trial {best['trial_id']} is first of {len(run.trials)}: "
        f"{best['val_accuracy']:.2%} validation accuracy after {best['seconds']:.3g} s "
        f"of {seconds}, {best['best_accuracy']:.2%} at best"
    )
    if ranking.by != "accuracy_per_second":
        answer += f", ranked by {ranking.by}"
    return answer + ". It is one training with one seed: near neighbours may change places."


def _config_of(run: Run, trial_id: str) -> dict[str, Any]:
    chosen = run.trials[run.trials["trial_id"] == trial_id]
    return dict(chosen["config"].iloc[0])


def _failures(run: Run) -> list[tuple[str, str, list[str]]]:
    failed = run.trials[~run.trials["outcome"].isin(_READABLE_ENDINGS)]
    return [
        (str(outcome), str(reason), list(trials["trial_id"]))
        for (outcome, reason), trials in failed.groupby(["outcome", "reason"])
    ]


def _command(question: dict[str, Any]) -> str:
    """Return the command that asks the run's question again."""
    options = dict(question)
    words = ["tune-ode", str(options.pop("command", "search"))]
    for name, value in (options.pop("fix", None) or {}).items():
        words += ["--fix", f"{name}={json.dumps(value)}"]
    for name in ("name", "output"):
        options.pop(name, None)
    for option, value in options.items():
        if value is not None:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{option.replace('_', '-')}", text]
    return shlex.join(words)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _png(drawn: Any) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.15)
    return buffer.getvalue()
