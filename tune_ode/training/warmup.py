"""Warm-up before the clock starts: compilation, autotuning and allocation."""

from __future__ import annotations

import contextlib
import copy
import itertools

import torch
from torch import Tensor
from torch.nn import functional

from tune_ode.classifier import Classifier
from tune_ode.errors import SolveFailed
from tune_ode.training.optimization.optimizers import Optimizer

_STEPS_TO_RECORD = 3
"""Steps with CUDA graphs: the first compiles, the second records, the third replays."""


def warm_up(
    model: Classifier, optimizer: Optimizer, batch: tuple[Tensor, Tensor], held_out: Tensor
) -> None:
    """Run a training step, or as many as a compiled model needs, and on a GPU an evaluation.

    Afterwards weights, buffers, optimizer, random states of torch, mode, statistics and cached step
    sizes of the model are restored bit for bit. A failed solve is ignored: only real data decide
    whether a trial diverges.

    Args:
        model: model on the training device.
        optimizer: optimizer of its parameters.
        batch: dummy images (B, C, H, W) and labels (B,), with the shapes of the training batches.
        held_out: images with the shape of the evaluation batches.

    Raises:
        torch.OutOfMemoryError: a training step does not fit on the device.
    """
    images, labels = batch
    tensors = [t.detach() for t in itertools.chain(model.parameters(), model.buffers())]
    before = [t.clone() for t in tensors]
    optimizer_before = copy.deepcopy(optimizer.state_dict())
    training, step_sizes = model.training, model.step_sizes
    replays = model.execution.compile and images.device.type == "cuda"
    steps = _STEPS_TO_RECORD if replays else 1
    with torch.random.fork_rng([images.device] if images.device.type == "cuda" else []):
        with contextlib.suppress(SolveFailed):
            model.train()
            for _ in range(steps):
                optimizer.zero_grad()
                functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        _copy(before, tensors)
        # a CPU compiles nothing, and its evaluations do not count as training time
        if images.is_cuda:
            with contextlib.suppress(SolveFailed), torch.no_grad():
                model.eval()
                for _ in range(steps):
                    model(held_out)
            _copy(before, tensors)
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer_before)
    model.train(training)
    model.step_sizes = step_sizes
    model.reset_statistics()


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
