"""The report of a run: a self-contained page, its plots as files, the ranking as CSV and JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.comparison.section import comparison_section
from analysis.confirmation.section import confirmation_section
from analysis.load import Run
from analysis.page import render
from analysis.plots import PLOTS
from analysis.plots.plot import Picture
from analysis.ranking import Ranking
from analysis.section import Section
from tune_ode import records
from tune_ode.errors import RunFolderError, UsageError
from tune_ode.paths import RunPath, write_atomic

RUNNING = "running"
"""State of a run whose search runs, or was killed."""
_MIN_INTERVAL = 1.0
_MAX_DUTY = 0.2
"""Maximum share of the time that a watch spends writing."""


def write_report(
    run: Run,
    ranking: Ranking,
    *,
    sections: Sequence[Section] | None = None,
    output: Path | None = None,
    refresh: float | None = None,
) -> RunPath:
    """Write index.html, the plots, ranking.csv and ranking.json; return the path of the page.

    Also writes the files of the sections: confirmed.json, or comparison.md, .json and .csv.

    Args:
        run: the run.
        ranking: its ranking.
        sections: its sections if the caller has them; None: load them.
        output: directory to write to, created if missing; None: `report` in the run directory.
        refresh: seconds after which an open page reloads; None: never.

    Raises:
        RunFolderError: a confirmation cannot be read, or the report cannot be written.
    """
    report = run.folder / records.REPORT if output is None else output
    if output is None and isinstance(report, Path) and report.is_symlink():
        raise RunFolderError(
            f"{report} is a link, but a run is written to inside its directory only; remove it, or "
            "choose another directory with --output"
        )
    page = report / "index.html"
    if sections is None:
        found = (comparison_section(run), confirmation_section(run, ranking))
        sections = [section for section in found if section is not None]
    drawn = pictures(run, ranking, sections)
    rows = ranking.to_records()
    files: dict[RunPath, str | bytes] = {
        **{report / f"{picture.name}.png": picture.png for picture in drawn},
        **{report / name: text for section in sections for name, text in section.files.items()},
        report / "ranking.csv": ranking.to_csv(),
        report / "ranking.json": json.dumps(rows, allow_nan=False, indent=1),
        # Last, so that the page never refers to a file that is not written yet.
        page: render(run, ranking, rows, drawn, sections, refresh=refresh),
    }
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        report.mkdir(exist_ok=True)
        if isinstance(report, Path):
            records.remove_leftovers(report, older_than=60.0)
        for path, content in files.items():
            write_atomic(path, content)
        for name in PLOTS:  # of an earlier report, when there was something to show
            if (old := report / f"{name}.png") not in files:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot write the report to {report}: {error.strerror}; the run itself is unchanged"
        ) from None
    return page


def watch_report(
    load: Callable[[], tuple[Run, Ranking]],
    *,
    every: float = 10.0,
    on_first: Callable[[RunPath], object] = print,
    sleep: Callable[[float], object] = time.sleep,
    output: Path | None = None,
) -> RunPath:
    """Rewrite the report until the search has ended; return the path of the page.

    Files are replaced atomically, and an open page reloads itself.

    Args:
        load: loads and ranks the run.
        every: seconds between two reports, at least 1; increased if writing takes long.
        on_first: receives the path of the page once it exists.
        sleep: waits for a number of seconds.
        output: as for `write_report`.

    Raises:
        RunFolderError: the run cannot be read, or its report cannot be written.
        UsageError: `every` is below 1 s.
    """
    if not every >= _MIN_INTERVAL:
        raise UsageError(f"--every is at least {_MIN_INTERVAL:g} s; found {every:g}")
    first = True
    while True:
        started = time.monotonic()
        run, ranking = load()
        live = run.manifest.state == RUNNING
        page = write_report(run, ranking, output=output, refresh=every if live else None)
        if first:
            on_first(page)
            first = False
        if not live:
            return page
        sleep(max(every, (time.monotonic() - started) * (1 / _MAX_DUTY - 1)))


def pictures(run: Run, ranking: Ranking, sections: Sequence[Section]) -> list[Picture]:
    """Render the plots of the sections and of the run that have something to show."""
    rendered = [plot.render() for section in sections for plot in section.plots]
    rendered += [plot.render(run, ranking) for plot in PLOTS.values()]
    return [picture for picture in rendered if picture is not None]
