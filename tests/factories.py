"""Records for tests: complete and valid, with only what a test cares about spelled out."""

import math
from pathlib import Path
from typing import Any

from tune_ode.config import TrialConfig
from tune_ode.records import (
    Confirmation,
    Contention,
    Outcome,
    Report,
    RunManifest,
    TrialResult,
    TrialSpec,
)
from tune_ode.worker.task import Task


def make_report(
    trial_id: str = "0001",
    epoch: float = 1.0,
    val_accuracy: float | None = 0.5,
    *,
    seconds: float | None = None,
    **fields: Any,
) -> Report:
    """Return a report at one of ten epochs of 100 batches, each a second unless `seconds` says."""
    seconds = float(epoch) if seconds is None else seconds
    defaults = {
        "attempt": 1, "timestamp": 0.0, "batches": round(100 * epoch), "horizon": 1000,
        "train_seconds": seconds, "warmup_seconds": 0.1,
        "epoch_seconds": 1.0, "eval_seconds": 0.1 * epoch, "wall_seconds": 1.2 * seconds,
        "cpu_seconds": seconds, "train_loss": 1.0, "train_accuracy": val_accuracy,
        "val_loss": 1.0, "nfe_forward": 4.0, "nfe_backward": 0.0, "vjp_backward": 4.0,
        "solver_steps": 1.0, "rejected_steps": 0.0, "learning_rate": 0.1,
        "samples_per_second": 100.0, "peak_memory_bytes": None, "device": "cpu", "node": "here",
        "concurrent_trials": 1,
    }  # fmt: skip
    return Report(
        **{"trial_id": trial_id, "epoch": float(epoch), "val_accuracy": val_accuracy}
        | defaults
        | fields
    )


def make_manifest(**fields: Any) -> RunManifest:
    """Return the manifest of a running search."""
    defaults = {
        "name": "run", "state": "running", "options": {}, "space": {},
        "base": TrialConfig().to_dict(), "chance": 0.1, "trial_seconds": None, "created": 0.0,
    }  # fmt: skip
    return RunManifest(**defaults | fields)


def make_spec(trial_id: str = "0001", **fields: Any) -> TrialSpec:
    """Return a trial with the default configuration and no searched parameters."""
    defaults = {"config": TrialConfig().to_dict(), "params": {}, "created": 0.0}
    return TrialSpec(**{"trial_id": trial_id} | defaults | fields)


def make_result(
    trial_id: str = "0001", outcome: Outcome = Outcome.COMPLETED, **fields: Any
) -> TrialResult:
    """Return how a trial ended."""
    defaults = {"attempt": 1, "started": 0.0, "ended": 1.0}
    return TrialResult(**{"trial_id": trial_id, "outcome": outcome} | defaults | fields)


def make_task(run_folder: Path, **values: Any) -> Task:
    """Return the task of a real training on digits that takes about a second, in one thread."""
    (run_folder / "trials" / "0001").mkdir(parents=True)
    small = {"model.width": 8, "solver.method": "euler", "training.epochs": 2}
    return Task(
        trial_id="0001", attempt=1, config=TrialConfig().with_values(small | values).to_dict(),
        run_folder=str(run_folder), data_dir=None, device="cpu", threads=1, budget_seconds=None,
        report_instants=None,
    )  # fmt: skip


def make_checkpoint(text: str = "") -> bytes:
    """Return the smallest file that can be resumed from: an empty archive that holds a text."""
    return b"PK\x05\x06" + bytes(16) + len(text).to_bytes(2, "little") + text.encode()


def checkpoint_text(content: bytes) -> str:
    """Return the text of `make_checkpoint`."""
    return content[22:].decode()


def make_confirmation(trial_id: str = "0001", **fields: Any) -> Confirmation:
    """Return the post-training evaluation of a model whose own solver is one rk4 step."""
    defaults = {
        "test_accuracy": 0.9, "test_loss": 0.1, "test_images": 100, "solve_images": 100,
        "threads": 1, "cold_seconds": 20.0,
        "solves": [
            {"method": "rk4", "steps": 1, "rtol": None, "own": True, "evaluations": 4.0,
             "accuracy": 0.9},
        ],
        "reference": {"method": "dopri5", "steps": None, "rtol": 1e-5, "own": False,
                      "evaluations": 40.0, "accuracy": 0.89},
        "latencies": [
            {"batch": 1, "repetitions": 10, "median_ms": 2.0, "low_ms": 1.9, "high_ms": 2.2},
        ],
    }  # fmt: skip
    return Confirmation(**{"trial_id": trial_id} | defaults | fields)


def make_contention(**fields: Any) -> Contention:
    """Return the contention of up to two concurrent trials, which take twice as long."""
    defaults = {
        "column": "train_seconds", "concurrency": [1, 2], "slowdown": [1.0, 2.0],
        "error": [0.0, 0.0], "step_seconds": 0.1, "repetitions": 5, "threads": 1, "node": "here",
    }  # fmt: skip
    return Contention(**defaults | fields)


def before_shrinking(slowdown: float, error: float) -> float:
    """Return the measured slowdown that is shrunk to a given one: e - error² / e is its excess."""
    excess = slowdown - 1
    return 1 + (excess + math.hypot(excess, 2 * error)) / 2
