"""Compares ways to solve and differentiate one network: a training for each case and seed.

They run as those of a confirmation do, one at a time in fresh processes with the device to
themselves, and are kept in a run folder: whatever reads a run reads a comparison too.
"""

from __future__ import annotations

from collections.abc import Callable

from tune_ode.replication.compare_plan import ComparePlan
from tune_ode.replication.confirm import ReplicationResult, Start, train_all
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.open import open_or_create_run
from tune_ode.runs.provenance import new_manifest


def compare(
    chosen: ComparePlan,
    watch: Callable[[ReplicationRunner], Callable[[], None]] = lambda confirming: lambda: None,
    *,
    start: Start | None = None,
) -> ReplicationResult:
    """Train what is left to train.

    Args:
        chosen: what to train.
        watch: given the state, returns what to call after every word.
        start: starts a training; None: in a process of its own.

    Raises:
        RunFolderError: the folder cannot be written, or another process is writing to it.
        RunFailed: a training could not go on, and nor could another.
        StorageFull: the disk filled up.
    """
    return train_all(_open(chosen), chosen, watch, start=start)


def _open(chosen: ComparePlan) -> RunFolder:
    """Open the comparison's folder, made at first, and write down what is asked of it now."""
    return open_or_create_run(
        chosen.folder,
        new_manifest(
            chosen.folder.name,
            chosen.options.to_dict(),
            chosen.resources,
            base=chosen.candidates[0].config.to_dict(),
            chance=chosen.chance,
            trial_seconds=None,
            validation_images=chosen.validation_images,
            train_images=chosen.train_images,
            test_images=chosen.test_images,
        ),
    )
