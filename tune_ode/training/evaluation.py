"""Loss and accuracy of a model on held-out images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Score a model in evaluation mode; its mode afterwards is the one before.

    Draws no random numbers. Function evaluations count in the model's statistics as any others do.

    Args:
        model: maps float32 images (B, C, H, W) to logits (B, classes).
        batches: normalized images and int64 labels (B,), on the model's device; read once.

    Returns:
        Cross entropy in nats (without label smoothing) and accuracy in [0, 1], means over images.

    Raises:
        SolveFailed: a solve met one of its bounds.
    """
    training = model.training
    model.eval()
    losses: list[Tensor] = []
    hits: list[Tensor] = []
    images_seen = 0
    try:
        # not inference_mode: a tensor that a solver caches in it could not be used in training
        with torch.no_grad():
            for images, labels in batches:
                logits = model(images)
                losses.append(functional.cross_entropy(logits, labels, reduction="sum"))
                hits.append((logits.argmax(dim=1) == labels).sum())
                images_seen += len(labels)
    finally:
        model.train(training)
    assert images_seen, "there must be images to evaluate on"
    # the one wait for the device
    loss = torch.stack(losses).double().sum().item() / images_seen
    return loss, torch.stack(hits).sum().item() / images_seen
