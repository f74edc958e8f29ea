"""Train one trial and yield its events: reports, then how it ended.

Independent of Ray: a Ray actor, a test and `tune-ode train` call the same function.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tune_ode.config import DataConfig, TrialConfig
from tune_ode.data import Fingerprint, ImageData, load, require_unchanged
from tune_ode.errors import (
    DataChanged,
    SolveFailed,
    StorageFull,
    StorageUnavailable,
    first_line,
    redact,
)
from tune_ode.machine.memory import cap_gpu_memory, limit_memory
from tune_ode.paths import RunPath
from tune_ode.process.device_errors import find_memory_error, is_device_error
from tune_ode.records import LAST_CHECKPOINT, TRIALS, Outcome, Report
from tune_ode.runs.checkpoints import cached_run_path, checkpoints, stop_flag

STOP_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Task:
    """A trial as sent to the process that trains it; plain values only."""

    trial_id: str
    attempt: int
    config: dict[str, Any]
    """`TrialConfig.to_dict()`."""
    run_folder: str
    """Absolute path or URL of the run; checkpoints are written to `trials/<id>/` in it."""
    data_dir: str | None
    device: str
    """`cpu` or `cuda`."""
    threads: int
    budget_seconds: float | None
    """Budget of `train_seconds`; None: epochs are the only limit."""
    report_instants: tuple[float, ...] | None
    """`train_seconds` at which to report; None: at the end of each epoch."""
    gpus: float = 0.0
    """Share of a GPU, in [0, 1]; GPU memory is limited to it."""
    memory_bytes: int | None = None
    """Limit for the memory that training adds to the process; None: no limit."""
    fingerprint: Fingerprint | None = None
    """Of the run's images; with other images the trial is interrupted. None: not checked."""
    report_timeout: float | None = None
    """Seconds without an event after which the process ends, with its stack in `stack.txt`."""
    evaluate_test: bool = False
    """Measure every report on the test set too, and skip the post-training evaluation."""

    @property
    def folder(self) -> RunPath:
        """Path or URL of the trial."""
        return cached_run_path(self.run_folder) / TRIALS / self.trial_id

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for another process."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrialEnd:
    """The last event of a trial."""

    outcome: Outcome
    reason: str = ""
    traceback: str | None = None
    process_usable: bool = True
    """Whether the process can train another trial; most errors of CUDA persist until it ends."""


TrialEvent = Report | TrialEnd
RunTrial = Callable[[Task], Iterator[TrialEvent]]


def run_trial(task: Task, on_batch: Callable[[float], None] | None = None) -> Iterator[TrialEvent]:
    """Train one trial; yield its reports and finally exactly one `TrialEnd`.

    The generator raises no exception: a failed trial must not end a search.

    Args:
        task: what to train.
        on_batch: called after every batch with the epochs trained so far.
    """
    try:
        yield from _train(task, on_batch or (lambda epoch: None))
        interrupted = stop_flag(task.run_folder)()
        end = TrialEnd(outcome=Outcome.INTERRUPTED if interrupted else Outcome.COMPLETED)
    except Exception as error:
        end = classify_error(error)
    except GeneratorExit:  # the trial was stopped
        _release_memory(task.device)
        raise
    try:
        # tracebacks keep tensors alive; free them before yielding, for the concurrent trials
        _release_memory(task.device)
    except Exception:
        end = replace(end, process_usable=False)
    yield end


def _train(task: Task, on_batch: Callable[[float], None]) -> Iterator[Report]:
    start = time.perf_counter()
    import torch

    from tune_ode.data import trial_data
    from tune_ode.training import TrialContext, training_loop

    torch.set_num_threads(task.threads)
    config = TrialConfig.from_dict(task.config)
    device = torch.device(task.device)
    cap_gpu_memory(task.gpus)
    images = load_cached(config.data, task.data_dir)
    require_unchanged(images, task.fingerprint, task.run_folder)
    # exempt what was imported from garbage collection: scanning it takes 0.14 s each time
    gc.freeze()
    # limit memory after the imports: one that fails makes the process unusable for later trials
    with checkpoints(task.folder) as (directory, upload), limit_memory(task.memory_bytes):
        last = directory / LAST_CHECKPOINT
        data = trial_data(images, config, device, with_test=task.evaluate_test)
        context = TrialContext(
            trial_id=task.trial_id,
            attempt=task.attempt,
            setup_seconds=time.perf_counter() - start,
        )
        for report in training_loop(
            config,
            data,
            device=device,
            context=context,
            checkpoints=directory,
            resume_from=last if last.exists() else None,
            budget_seconds=task.budget_seconds,
            report_instants=task.report_instants,
            should_stop=_throttled(stop_flag(task.run_folder)),
            on_batch=on_batch,
        ):
            upload()
            yield report
        upload()  # the checkpoint of a training that was asked to stop


@lru_cache(maxsize=1)
def load_cached(config: DataConfig, data_dir: str | None) -> ImageData:
    """Load a data set, or return the one loaded last.

    `load` lists an image folder to find its cache, which may take a second per trial.
    """
    return load(config, Path(data_dir) if data_dir else None)


def _throttled(is_set: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function to call after every batch that reads the flag at most twice a second."""
    next_poll = 0.0

    def should_stop() -> bool:
        nonlocal next_poll
        if time.monotonic() < next_poll:
            return False
        next_poll = time.monotonic() + STOP_POLL_SECONDS
        return is_set()

    return should_stop


def classify_error(error: Exception) -> TrialEnd:
    """Return the end of a trial that raised an error."""
    from tune_ode.training import Diverged

    reason = first_line(error)
    if isinstance(error, StorageFull | StorageUnavailable | DataChanged):
        # the trial can be resumed once the disk or store accepts writes, or the images are back
        return TrialEnd(outcome=Outcome.INTERRUPTED, reason=reason)
    if isinstance(error, Diverged | SolveFailed):
        return TrialEnd(outcome=Outcome.DIVERGED, reason=reason)
    if (memory_error := find_memory_error(error)) is not None:
        return TrialEnd(outcome=Outcome.OUT_OF_MEMORY, reason=first_line(memory_error))
    return TrialEnd(
        outcome=Outcome.FAILED,
        reason=f"{type(error).__name__}: {reason}",
        traceback=redact("".join(traceback.format_exception(error))),
        process_usable=not is_device_error(error),
    )


def _release_memory(device: str) -> None:
    from tune_ode.training.memory import trim_malloc

    gc.collect()
    trim_malloc()
    if device == "cuda":
        import torch

        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()  # raises what a kernel has not reported yet
        torch.cuda.empty_cache()
