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

from analysis import style
from analysis.load import Run, load_run
from analysis.plots import BROKEN, PLOTS
from analysis.rank import Ranking, compact_params, rank
from tune_ode import records
from tune_ode.errors import RunFolderError


@dataclass(frozen=True)
class Picture:
    """A plot of the page, drawn."""

    name: str
    """Of its PNG file, without the ending."""
    title: str
    """Says what is seen, for those who cannot see it."""
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
    page = report / "index.html"
    files: dict[Path, str | bytes] = {
        **{report / f"{picture.name}.png": picture.png for picture in pictures},
        report / "ranking.csv": ranking.to_csv(),
        report / "ranking.json": json.dumps(ranking.to_records(), allow_nan=False, indent=1),
        page: render(run, ranking, pictures),
    }
    try:
        report.mkdir(exist_ok=True)
        for path, content in files.items():
            records.replace_file(path, content)
    except OSError as error:
        raise RunFolderError(
            f"cannot write the report to {report}: {error.strerror}; the run itself is untouched"
        ) from None
    return page


def draw(run: Run, ranking: Ranking) -> list[Picture]:
    """Draw the report's plots."""
    pictures = []
    for plot in PLOTS:
        figure, ax = style.figure(9, 5)
        plot.draw(run, ranking, ax)
        png = io.BytesIO()
        figure.savefig(png, format="png", bbox_inches="tight", pad_inches=0.15)
        title = ax.get_title(loc="left")
        pictures.append(Picture(plot.name, title, plot.how_to_read, png.getvalue()))
    return pictures


def render(run: Run, ranking: Ranking, pictures: list[Picture]) -> str:
    """Return the page; everything that came from outside is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "compact": compact_params,
        "number": _number,
        "spaced": lambda name: str(name).replace("_", " "),
        "instant": lambda seconds: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds)),
    }
    rows = ranking.to_records()
    best = rows[0] if rows and rows[0]["rank"] == 1 else None
    config = _config_of(run, best["trial_id"]) if best else None
    return environment.get_template("report.html.j2").render(
        run=run,
        manifest=run.manifest,
        ranking=ranking,
        rows=rows,
        best=best,
        question=_question(run),
        answer=_answer(run, ranking, best),
        yaml=yaml.safe_dump(config, sort_keys=False) if config else None,
        train_command=shlex.join(["tune-ode", "train", f"{run.folder}:{best['trial_id']}"])
        if best
        else None,
        pictures=pictures,
        endings=Counter(run.trials["outcome"]).most_common(),
        failures=_failures(run),
        measured_on=_measured_on(run),
        command=_command(run),
        now=time.time(),
    )


def _question(run: Run) -> dict[str, str]:
    """Return the parts of the question that a reader asks for first."""
    question = run.manifest.question
    images = question.get("train_images")
    parts = {
        "data set": f"{question.get('dataset')}"
        + (f", {images} training images" if images else ""),
        "space": question.get("space") if run.manifest.space else "nothing searched",
        "trials": f"{len(run.trials)} of at most {question['trials']}"
        if question.get("trials")
        else f"{len(run.trials)}",
        "budget of a trial": f"{run.manifest.trial_seconds:.3g} s of training"
        if run.manifest.trial_seconds
        else "its epochs",
        "searched for": f"{run.manifest.seconds:.0f} s",
        "seed": question.get("seed"),
    }
    return {name: str(value) for name, value in parts.items() if value is not None}


def _answer(run: Run, ranking: Ranking, best: dict[str, Any] | None) -> str:
    if best is None and run.lines["val_accuracy"].notna().any():
        return f"No trial reached the floor of {ranking.floor:.4g}, so none is ranked."
    if best is None:
        return "No trial measured an accuracy, so there is nothing to rank."
    place = f"is first of {len(run.trials)} trials" if len(run.trials) > 1 else "is the only one"
    answer = (
        f"Trial {best['trial_id']} ({compact_params(best['params']) or 'nothing searched'}) "
        f"{place}: {best['val_accuracy']:.2%} validation accuracy after {best['seconds']:.3g} s of "
        f"{style.CLOCK_NAMES[ranking.clock]}, {best['best_accuracy']:.2%} at best"
    )
    if ranking.by != "accuracy_per_second":
        answer += f", ranked by {ranking.by}"
    return answer + ". It is one training with one seed: near neighbours may change places."


def _config_of(run: Run, trial_id: str) -> dict[str, Any]:
    chosen = run.trials[run.trials["trial_id"] == trial_id]
    return dict(chosen["config"].iloc[0])


def _failures(run: Run) -> list[tuple[str, str, list[str]]]:
    failed = run.trials[run.trials["outcome"].isin([str(outcome) for outcome in BROKEN])]
    return [
        (str(outcome), str(reason), list(trials["trial_id"]))
        for (outcome, reason), trials in failed.groupby(["outcome", "reason"])
    ]


def _measured_on(run: Run) -> str | None:
    """Return what the seconds depend on: device, and how many trials shared a node."""
    if run.lines.empty:
        return None
    devices = ", ".join(sorted(set(run.lines["device"].astype(str))))
    most = run.lines["concurrent_trials"].max()
    if most > 1:
        return f"{devices}; up to {most:.0f} trials shared a node, which lengthens their seconds"
    return f"{devices}; one trial at a time on a node"


def _command(run: Run) -> str:
    """Return the command that asks the run's question again."""
    options = dict(run.manifest.question)
    command = str(options.pop("command", "search"))
    if command == "train":  # its whole question is the configuration, which the run holds
        return shlex.join(["tune-ode", "train", f"{run.folder}:0001"])
    words = ["tune-ode", command]
    for name, value in (options.pop("fix", None) or {}).items():
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        words += ["--fix", f"{name}={text}"]
    for name in ("name", "output"):  # where it goes, no part of what is asked
        options.pop(name, None)
    for option, value in options.items():
        if value is not None:
            text = f"{value:.10g}" if isinstance(value, float) else str(value)
            words += [f"--{option.replace('_', '-')}", text]
    return shlex.join(words)


def _number(value: float | None, digits: int) -> str:
    """Return a number with at most so many decimals, a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"
