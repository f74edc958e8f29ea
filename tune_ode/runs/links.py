"""Refuse to write to a run that has links or special files where a search writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tune_ode import records
from tune_ode.errors import RunFolderError

LOCK = ".lock"
NEW_TRIAL = ".new"
_RUN_NAMES = frozenset({records.MANIFEST, records.STUDY, records.STOP_FILE, records.TRIALS, LOCK})
_TRIAL_NAMES = frozenset(
    {records.CONFIG, records.REPORTS, records.OUTCOME, records.CONFIRMATION, records.STACK,
     records.LAST_CHECKPOINT, records.BEST_CHECKPOINT}
)  # fmt: skip


def require_no_links(run: Path) -> None:
    """Check that writing to a run changes nothing outside of it.

    Raises:
        RunFolderError: names the first link or special file.
    """
    for found in _links(run.absolute()):
        raise RunFolderError(
            f"{found} is a link or a special file, but a run is written to inside its directory "
            "only; replace it by a copy of what it names, or remove it"
        )


def _links(run: Path) -> Iterator[Path]:
    # the user names the run, which may be a link, but not the confirmation inside it
    if run.is_symlink() and (run.parent / records.MANIFEST).exists():
        yield run
    yield from records.find_links(run, _RUN_NAMES)
    directory = run / records.TRIALS
    trials = records.trial_paths(directory.iterdir()) if directory.is_dir() else []
    yield from records.find_links(directory, {NEW_TRIAL, *(trial.name for trial in trials)})
    for trial in trials:
        yield from records.find_links(trial, _TRIAL_NAMES)
