"""A trial's result does not depend on what its process has trained before."""

import dataclasses
import random

import numpy as np
import torch

from tune_ode.config import TrialConfig
from tune_ode.records import LAST_CHECKPOINT, Report
from tune_ode.worker.task import run_trial

RESULTS = (
    "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "nfe_forward",
    "nfe_backward", "vjp_backward", "solver_steps", "rejected_steps", "learning_rate",
)  # fmt: skip


SMALL = {"model.width": 8, "solver.method": "euler", "training.epochs": 2}


def changed(task, number, values=None, memory_bytes=None):
    """The same task under another number and with other settings."""
    config = TrialConfig().with_values(SMALL | (values or {})).to_dict()
    trial_id = f"{number:04d}"
    return dataclasses.replace(task, trial_id=trial_id, config=config, memory_bytes=memory_bytes)


def train(tasks, leave_early=()):
    """Train in this process, one after the other; return how each ended, and the last's results."""
    endings, results = [], []
    for task in tasks:
        task.folder.mkdir(exist_ok=True)
        # whatever was drawn from, or set to, by others
        random.seed(task.trial_id)
        np.random.seed(int(task.trial_id))
        torch.manual_seed(int(task.trial_id))
        messages = run_trial(task)
        if task.trial_id in leave_early:
            next(messages)
            messages.close()
            continue
        *lines, ending = messages
        endings.append(str(ending.outcome))
        results = [[getattr(line, name) for name in RESULTS] for line in lines]
        assert all(isinstance(line, Report) for line in lines)
    weights = torch.load(tasks[-1].folder / LAST_CHECKPOINT, weights_only=True)["model"]
    return endings, results, {name: value.tolist() for name, value in weights.items()}


def test_after_all_kinds_of_trials_the_same_to_the_bit(task, fresh_process):
    settings = {"training.label_smoothing": 0.1, "model.head.dropout": 0.2}
    same = changed(task, 10, settings)
    (ended,), alone, weights = fresh_process.apply(train, ([same],))
    assert ended == "completed"
    assert len(alone) == 2

    strict = {"solver.method": "dopri5", "solver.rtol": 1e-12, "solver.max_evaluations": 8}
    unstable = {
        "optimizer.learning_rate": 100.0,
        "schedule.name": "constant",
        "model.normalization": "none",
        "model.ode.normalization": "none",
        "model.ode.convolutions": 4,
        "solver.steps": 20,
    }
    before = [
        changed(task, 1, settings),
        changed(task, 2, {"seed": 5, "optimizer.name": "adamw", "model.width": 16}),
        changed(task, 3, unstable),
        changed(task, 4, strict),
        changed(task, 5, {"model.width": 256, "training.batch_size": 512}, 200 * 10**6),
        changed(task, 6, {"data.dataset": "folder:/nowhere"}),
        changed(task, 7, {"execution.precision": "bf16"}),
        changed(task, 8),
        changed(task, 11, settings),
    ]
    endings, after, weights_after = fresh_process.apply(train, (before, ("0008",)))
    assert endings == [
        "completed", "completed", "diverged", "diverged", "out_of_memory", "failed", "completed",
        "completed",
    ]  # fmt: skip
    assert after == alone
    assert weights_after == weights
