"""Warm-up before the clock starts: compilation, autotuning and allocation; undone afterwards."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator

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

    Everything is restored afterwards. A failed solve is ignored: only real data decide whether a
    trial diverges.

    Args:
        model: model on the training device.
        optimizer: optimizer of its parameters.
        batch: dummy images (B, C, H, W) and labels (B,), with the shapes of the training batches.
        held_out: images with the shape of the evaluation batches.

    Raises:
        torch.OutOfMemoryError: a training step does not fit on the device.
    """
    images, labels = batch
    replays = model.execution.compile and images.device.type == "cuda"
    steps = _STEPS_TO_RECORD if replays else 1
    with restored(model, optimizer), contextlib.suppress(SolveFailed):
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    # a CPU compiles nothing, and its evaluations do not count as training time
    if images.is_cuda:
        with restored(model, optimizer), contextlib.suppress(SolveFailed), torch.no_grad():
            model.eval()
            for _ in range(steps):
                model(held_out)


@contextlib.contextmanager
def restored(model: Classifier, optimizer: Optimizer) -> Iterator[None]:
    """Restore model, optimizer and random states bit for bit after the block.

    This includes weights, buffers, mode, statistics and cached step sizes of the model.
    """
    tensors = [t.detach() for t in itertools.chain(model.parameters(), model.buffers())]
    before = [t.clone() for t in tensors]
    optimizer_before = copy.deepcopy(optimizer.state_dict())
    training, step_sizes = model.training, model.step_sizes
    device = tensors[0].device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
    for tensor, value in zip(tensors, before, strict=True):
        tensor.copy_(value)
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer_before)
    model.train(training)
    model.step_sizes = step_sizes
    model.reset_statistics()
