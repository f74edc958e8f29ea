"""One trial's work, and the messages it sends back: report lines, then how it ended.

No Ray here: a Ray actor, a test's loop and `tune-ode train` run the same function.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tune_ode.config import DataConfig, TrialConfig
from tune_ode.data import ImageData, load
from tune_ode.errors import SolveFailed, StorageFull, StorageUnavailable, first_line
from tune_ode.machine.memory import cap_gpu_memory, limit_memory
from tune_ode.paths import RunPath
from tune_ode.records import LAST_CHECKPOINT, TRIALS, Outcome, Report
from tune_ode.runs.checkpoints import checkpoints, run_place, stop_flag

STOP_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Task:
    """A trial as it is sent to the process that trains it; plain values only."""

    trial_id: str
    attempt: int
    config: dict[str, Any]
    """`TrialConfig.to_dict()`."""
    run_folder: str
    """Absolute, or a URL; the process writes its checkpoints to `trials/<id>/` there."""
    data_dir: str | None
    device: str
    """`cpu` or `cuda`."""
    threads: int
    budget_seconds: float | None
    """`train_seconds` the trial may use; None: only its epochs end it."""
    report_instants: tuple[float, ...]
    """`train_seconds` at which to report inside an epoch: the rungs."""
    gpus: float = 0.0
    """Share of a GPU; its memory is held to that."""
    memory_bytes: int | None = None
    """Memory that the training may take from the machine, beyond what the process has."""
    report_timeout: float | None = None
    """A process that has no message for so long is ended, its stack kept in `stack.txt`."""
    evaluate_test: bool = False
    """Whether every report is measured on the test set, too, and the model not examined after."""

    @property
    def folder(self) -> RunPath:
        """The trial's."""
        return run_place(self.run_folder) / TRIALS / self.trial_id

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for another process."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrialEnd:
    """A trial's last message."""

    outcome: Outcome
    reason: str = ""
    traceback: str | None = None


TrialEvent = Report | TrialEnd
RunTrial = Callable[[Task], Iterator[TrialEvent]]


def run_trial(task: Task, on_batch: Callable[[float], None] | None = None) -> Iterator[TrialEvent]:
    """Train one trial; yield its report lines and, last of all, exactly one `Ending`.

    No exception leaves this generator: a bad trial must not end a search.

    Args:
        task: what to train.
        on_batch: told after every batch how many epochs are trained.
    """
    try:
        yield from _train(task, on_batch)
        interrupted = stop_flag(task.run_folder)()
        ending = TrialEnd(outcome=Outcome.INTERRUPTED if interrupted else Outcome.COMPLETED)
    except Exception as error:
        ending = classify_error(error)
    finally:
        # ahead of the last message, for the trials beside this one: an error's frames held it all
        _release_memory(task.device)
    yield ending


def _train(task: Task, on_batch: Callable[[float], None] | None) -> Iterator[Report]:
    began = time.perf_counter()
    import torch

    from tune_ode.data import trial_data
    from tune_ode.training import TrialContext, training_loop, untold

    torch.set_num_threads(task.threads)
    config = TrialConfig.from_dict(task.config)
    device = torch.device(task.device)
    cap_gpu_memory(task.gpus)
    images = load_cached(config.data, task.data_dir)
    # what is there stays: to look through all that was imported takes 0.14 s a collection
    gc.freeze()
    # from here on: an import that finds no memory leaves the process unfit for the next trial
    with checkpoints(task.folder) as (folder, put), limit_memory(task.memory_bytes):
        last = folder / LAST_CHECKPOINT
        data = trial_data(images, config, device, with_test=task.evaluate_test)
        context = TrialContext(
            trial_id=task.trial_id,
            attempt=task.attempt,
            setup_seconds=time.perf_counter() - began,
        )
        for line in training_loop(
            config,
            data,
            device=device,
            context=context,
            checkpoints=folder,
            resume_from=last if last.exists() else None,
            budget_seconds=task.budget_seconds,
            report_instants=task.report_instants,
            should_stop=_polled(stop_flag(task.run_folder)),
            on_batch=on_batch or untold,
        ):
            put()
            yield line
        put()  # of a training that was asked to stop


@lru_cache(maxsize=1)
def load_cached(config: DataConfig, data_dir: str | None) -> ImageData:
    """Return a data set, the last one at once."""
    # the cache of an image folder is found by listing it, which may take a second a trial
    return load(config, Path(data_dir) if data_dir else None)


def _polled(asked: Callable[[], bool]) -> Callable[[], bool]:
    # asked after every batch; the file system, perhaps a remote one, is asked twice a second
    next_poll = 0.0

    def should_stop() -> bool:
        nonlocal next_poll
        if time.monotonic() < next_poll:
            return False
        next_poll = time.monotonic() + STOP_POLL_SECONDS
        return asked()

    return should_stop


def classify_error(error: Exception) -> TrialEnd:
    """Return how a trial ends that met an error."""
    import torch

    from tune_ode.training import Diverged

    reason = first_line(error)
    if isinstance(error, StorageFull | StorageUnavailable):
        # no fault of the trial's: it can go on when there is room, or the store, again
        return TrialEnd(outcome=Outcome.INTERRUPTED, reason=reason)
    if isinstance(error, Diverged | SolveFailed):
        return TrialEnd(outcome=Outcome.DIVERGED, reason=reason)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        # the CPU allocator raises a plain RuntimeError
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    ):
        return TrialEnd(outcome=Outcome.OUT_OF_MEMORY, reason=reason)
    return TrialEnd(
        outcome=Outcome.FAILED,
        reason=f"{type(error).__name__}: {reason}",
        traceback="".join(traceback.format_exception(error)),
    )


def _release_memory(device: str) -> None:
    from tune_ode.training.memory import trim_malloc

    gc.collect()
    trim_malloc()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
