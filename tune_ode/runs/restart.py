"""Trials whose checkpoint is lost: they start over instead of failing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath
from tune_ode.records import LAST_CHECKPOINT, TRIALS, is_intact_archive, open_regular
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.retry import retry


def restart_if_lost(folder: RunFolder, trial_id: str) -> str | None:
    """Let an unfinished trial start over if its `last.pt` cannot be resumed from.

    A power cut or a full disk can leave an empty or truncated file. `best.pt` is no substitute: it
    lacks the state of optimizer, schedule, clock and random numbers. The reports, which the new
    training would mix with, are kept in `lost-reports.jsonl`.

    Returns:
        A line that says so; None if the trial resumes, or has not reported yet.

    Raises:
        StorageFull: the disk is full.
        RunFolderError: the file cannot be read, or the object store is unavailable.
    """
    checkpoint = folder.location / TRIALS / trial_id / LAST_CHECKPOINT
    reports = folder.reports(trial_id)
    problem = _problem(checkpoint)
    if problem is None or (problem == "missing" and not reports):
        return None
    checkpoint.unlink(missing_ok=True)
    if reports:
        folder.set_reports_aside(trial_id)
    return f"trial {trial_id} starts over: its {LAST_CHECKPOINT} is {problem}"


def _problem(checkpoint: RunPath) -> str | None:
    """Return what is wrong with a checkpoint, or None."""
    try:
        with _open(checkpoint) as file:
            if not file.read(1):
                return "empty"
            return None if is_intact_archive(file) else "damaged"
    except FileNotFoundError:
        return "missing"
    except OSError as error:  # a directory, or a file of another user
        raise RunFolderError(
            f"cannot read {checkpoint}: {error.strerror}; make it readable, or remove it and the "
            "trial starts over"
        ) from error


@contextmanager
def _open(checkpoint: RunPath) -> Iterator[IO[bytes]]:
    if isinstance(checkpoint, Path):
        with open_regular(checkpoint, os.O_RDONLY) as file:
            yield file
    else:
        yield io.BytesIO(retry(checkpoint.read_bytes))
