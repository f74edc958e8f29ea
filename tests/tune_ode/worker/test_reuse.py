"""The result of a trial does not depend on earlier trials of its process."""

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
    """Return the task with another number and other fields."""
    config = TrialConfig().with_values(SMALL | (values or {})).to_dict()
    trial_id = f"{number:04d}"
    return dataclasses.replace(task, trial_id=trial_id, config=config, memory_bytes=memory_bytes)


def train(tasks, leave_early=()):
    """Train tasks in this process; return their outcomes, and reports and weights of the last."""
    outcomes, results = [], []
    for task in tasks:
        task.folder.mkdir(exist_ok=True)
        # disturb the global generators
        random.seed(task.trial_id)
        np.random.seed(int(task.trial_id))
        torch.manual_seed(int(task.trial_id))
        events = run_trial(task)
        if task.trial_id in leave_early:
            next(events)
            events.close()
            continue
        *reports, end = events
        outcomes.append(str(end.outcome))
        results = [[getattr(report, name) for name in RESULTS] for report in reports]
        assert all(isinstance(report, Report) for report in reports)
    weights = torch.load(tasks[-1].folder / LAST_CHECKPOINT, weights_only=True)["model"]
    return outcomes, results, {name: value.tolist() for name, value in weights.items()}


def test_results_after_other_trials_are_bitwise_equal(task, fresh_process):
    fields = {"training.label_smoothing": 0.1, "model.head.dropout": 0.2}
    same = changed(task, 10, fields)
    (outcome,), isolated, weights = fresh_process.apply(train, ([same],))
    assert outcome == "completed"
    assert len(isolated) == 2

    strict = {"solver.method": "dopri5", "solver.rtol": 1e-12, "solver.max_evaluations": 8}
    unstable = {
        "optimizer.learning_rate": 100.0,
        "training.batch_size": 16,
        "schedule.name": "constant",
        "model.normalization": "none",
        "model.ode.normalization": "none",
        "model.ode.convolutions": 4,
        "solver.steps": 20,
    }
    before = [
        changed(task, 1, fields),
        changed(task, 2, {"seed": 5, "optimizer.name": "adamw", "model.width": 16}),
        changed(task, 3, unstable),
        changed(task, 4, strict),
        changed(task, 5, {"model.width": 256, "training.batch_size": 512}, 200 * 10**6),
        changed(task, 6, {"data.dataset": "folder:/nowhere"}),
        changed(task, 7, {"execution.precision": "bf16"}),
        changed(task, 8),
        changed(task, 11, fields),
    ]
    outcomes, after, weights_after = fresh_process.apply(train, (before, ("0008",)))
    assert outcomes == [
        "completed", "completed", "diverged", "diverged", "out_of_memory", "failed", "completed",
        "completed",
    ]  # fmt: skip
    assert after == isolated
    assert weights_after == weights
