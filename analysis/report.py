"""The report of a run: one self-contained page, its plots as files, the ranking as CSV and JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from analysis.compared import load_compared
from analysis.comparison import comparison_files
from analysis.load import Run, load_run
from analysis.load_confirmed import load_confirmed
from analysis.page import render
from analysis.plots import PLOTS, Picture, draw
from analysis.rank import rank
from analysis.ranking import Ranking
from tune_ode import records
from tune_ode.errors import RunFolderError, UsageError
from tune_ode.paths import RunPath, write_atomic

CONFIRMED = "confirmed.json"
RUNNING = "running"
"""State of a run that is still searched, or whose search was killed."""
_LEAST_EVERY = 1.0
_SHARE = 4
"""Between two writings a watch rests so many times as long as one took."""


def write_report(
    folder: str | RunPath,
    *,
    by: str = "accuracy_per_second",
    floor: float | None = None,
    clock: str = "isolated",
    targets: Iterable[float] | None = None,
    budgets: Iterable[float] | None = None,
    output: Path | None = None,
) -> RunPath:
    """Write index.html, the plots, ranking.csv and ranking.json into RUN/report; return the page.

    Where something is confirmed, confirmed.json too; of a comparison, comparison.md, .json, .csv.

    Args:
        folder: the run, or its URL.
        by: what to rank by; see `rank.rank`.
        floor: least validation accuracy to be ranked; None: 0.05 under the best.
        clock: a name of `rank.CLOCKS`.
        targets: accuracies to tell the seconds to.
        budgets: seconds to tell the best accuracy within.
        output: another folder to write to, made where there is none.

    Raises:
        RunFolderError: there is no run, or its report cannot be written.
        QuestionError: an unknown measure or clock.
    """
    run = load_run(folder)
    ranking = rank(run, by=by, floor=floor, clock=clock, targets=targets, budgets=budgets)
    return _write(run, ranking, output)


def watch_report(
    folder: str | RunPath,
    *,
    every: float = 10.0,
    told: Callable[[RunPath], object] = print,
    rest: Callable[[float], object] = time.sleep,
    by: str = "accuracy_per_second",
    floor: float | None = None,
    clock: str = "isolated",
    targets: Iterable[float] | None = None,
    budgets: Iterable[float] | None = None,
    output: Path | None = None,
) -> RunPath:
    """Write the report again and again until the search has ended; return the page.

    A reader always finds a whole page, and one that is open loads itself anew.

    Args:
        folder: the run, or its URL.
        every: seconds between two writings, at least 1; more where one takes long.
        told: told the page when it is first written.
        rest: waits so many seconds.
        by: as for `write_report`; so are the others.
        floor: likewise.
        clock: likewise.
        targets: likewise.
        budgets: likewise.
        output: likewise.

    Raises:
        RunFolderError: there is no run, or its report cannot be written.
        QuestionError: an unknown measure or clock, or writing more than once a second.
    """
    if not every >= _LEAST_EVERY:
        raise UsageError(f"--every is at least {_LEAST_EVERY:g} s; found {every:g}")
    first = True
    while True:
        begun = time.monotonic()
        run = load_run(folder)
        ranking = rank(run, by=by, floor=floor, clock=clock, targets=targets, budgets=budgets)
        live = run.manifest.state == RUNNING
        page = _write(run, ranking, output, refresh=every if live else None)
        if first:
            told(page)
            first = False
        if not live:
            return page
        rest(max(every, _SHARE * (time.monotonic() - begun)))


def pictures(run: Run, ranking: Ranking) -> list[Picture]:
    """Draw the report's plots, those in which there is something to see."""
    drawn = (draw(run, ranking, name) for name in PLOTS)
    return [picture for picture in drawn if picture is not None]


def _write(
    run: Run, ranking: Ranking, output: Path | None, *, refresh: float | None = None
) -> RunPath:
    report = run.folder / records.REPORT if output is None else output
    page = report / "index.html"
    drawn = pictures(run, ranking)
    rows = ranking.to_records()
    confirmed, compared = load_confirmed(run, ranking), load_compared(run)
    files: dict[RunPath, str | bytes] = {
        **{report / f"{picture.name}.png": picture.png for picture in drawn},
        report / "ranking.csv": ranking.to_csv(),
        report / "ranking.json": json.dumps(rows, allow_nan=False, indent=1),
    }
    if compared is not None:
        files |= comparison_files(compared, run.manifest, report)
    if confirmed is not None:
        files[report / CONFIRMED] = json.dumps(confirmed.to_records(), allow_nan=False, indent=1)
    files[page] = render(
        run, ranking, rows, drawn, confirmed=confirmed, compared=compared, refresh=refresh
    )
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        report.mkdir(exist_ok=True)
        for path, content in files.items():
            write_atomic(path, content)
        for name in PLOTS:  # drawn once, when there was something to see
            if (old := report / f"{name}.png") not in files:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot write the report to {report}: {error.strerror}; the run itself is untouched"
        ) from None
    return page
