"""Output at the end of a search or a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from analysis.load import load_run
from analysis.ranking import rank
from tune_ode.api.outcome import check_outcome
from tune_ode.cli.display.ranking import print_ranking
from tune_ode.errors import DataError, Interrupted, RunFolderError, first_line
from tune_ode.paths import display_path, shell_quoted
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from analysis.load import Run
    from analysis.ranking import Ranking
    from analysis.section import Section
    from tune_ode.paths import RunPath
    from tune_ode.tuning.launch import SearchResult


def print_result(result: SearchResult, console: Console, *, profile: bool = False) -> None:
    """Print the result of a search or a training, and write its report.

    Args:
        result: how it ended.
        console: where to print.
        profile: also print how the time was used.

    Raises:
        Interrupted: the run, or this, was interrupted.
        RunFailed: the run failed, or nothing was measured.
    """
    folder = shell_quoted(result.run_folder)
    done = f"the run is finished; its report: tune-ode report {folder}"
    with interruption(f"to continue: tune-ode resume {folder}" if result.interrupted else done):
        _print_result(result, console, profile=profile)


@contextmanager
def interruption(remedy: str) -> Iterator[None]:
    """Add the command that continues to an interrupt.

    Raises:
        Interrupted: the block was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {remedy}") from None


def _print_result(result: SearchResult, console: Console, *, profile: bool) -> None:
    run = load_run(result.run_folder)
    ranking = rank(run)
    train = run.manifest.options["command"] == "train"
    measured = len(run.reports) > 0
    if train and measured and not result.interrupted:
        # Importing torch takes seconds, so only here.
        from tune_ode.prediction import score_on_test_set

        data_dir = run.manifest.options["data_dir"]
        try:
            score = score_on_test_set(result.run_folder, "0001", data_dir and Path(data_dir))
            text = (
                f"accuracy {score.accuracy:.4f} on {score.images} images, by the model with the "
                "best validation accuracy"
            )
        except DataError as error:  # the images changed or vanished; the training counts
            text = str(error)
        print_line(f"test      {text}", console)
    elif not train and len(run.trials):
        print_ranking(ranking, console, limit=15)
        if profile:
            _print_profile(run, ranking, console)
    if measured or not train:
        print_report(run, ranking, console)
    check_outcome(result, run)
    if not train:
        print_line(run.manifest.ending, console)


def print_report(
    run: Run, ranking: Ranking, console: Console, sections: Sequence[Section] | None = None
) -> None:
    """Write the report and print its path; print the error if it cannot be written.

    The result of the run counts; a full disk, or an error while drawing, must not hide it.
    """

    def write() -> RunPath:
        # matplotlib needs a directory for its cache of fonts as soon as it is imported
        from analysis.report import write_report

        return write_report(run, ranking, sections=sections)

    remedy = f"; to write it: tune-ode report {shell_quoted(run.folder)}"
    print_line(f"report    {path_or_error(write, remedy)}", console)


def path_or_error(write: Callable[[], RunPath], remedy: str = "") -> str:
    """Write a file; return its path for display, or why it was not written and the remedy."""
    try:
        return display_path(write())
    except RunFolderError as error:
        return f"{error}{remedy}"
    except Exception as error:  # whatever it is, the result does not depend on it
        return f"not written ({type(error).__name__}: {first_line(error)}){remedy}"


def print_line(text: str, console: Console) -> None:
    """Print text as it is, on one line."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _print_profile(run: Run, ranking: Ranking, console: Console) -> None:
    """Print how the lanes × seconds were used."""
    from analysis.plots.time import time_use_data

    if (use := time_use_data(run, ranking)) is None:
        return
    total = sum(use.seconds.values()) or 1.0
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{pluralize(use.lanes, 'lane')} × {use.search_seconds:.0f} s")
    for heading in ("seconds", "share"):
        table.add_column(heading, justify="right")
    for name, seconds in use.seconds.items():
        table.add_row(name, f"{seconds:.1f}", f"{seconds / total:.1%}")
    console.print(table)
