"""Profile a training step: time by kind of operation, and floating-point rate."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any, Protocol

import torch
from rich.console import Console
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

KINDS = {
    "convolution": ("conv", "mkldnn"),
    "normalization": ("norm",),
    "activation": ("relu", "threshold", "clamp"),
    "linear": ("addmm", "mm", "linear"),
    "sums and products": ("add", "mul", "sub", "div", "neg"),
    "copies": ("copy", "cat", "clone", "to_copy", "contiguous", "index", "gather", "fill", "zero"),
    "reductions": ("sum", "mean", "max", "softmax", "nll"),
    "optimizer": ("sgd", "foreach"),
}
STEPS = 4


class FlopCounter(TorchDispatchMode):
    """Counts the floating-point operations of convolutions and matrix products.

    torch's counter also installs module hooks, which fail with `autograd.grad` inside a backward
    pass, as in the adjoint method.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        """Run an operation and count its floating-point operations."""
        out = function(*arguments, **(keywords or {}))
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.total += count(*arguments, **(keywords or {}), out_val=out)
        return out


class Trains(Protocol):
    """A training that can run a number of batches."""

    def epoch(self, batches: int | None = None) -> float:
        """Train this number of batches."""


def print_profile(title: str, training: Trains, device: torch.device, console: Console) -> None:
    """Print the share of time of each kind of operation over a few steps, longest first."""
    training.epoch(1)
    start = time.perf_counter()
    training.epoch(STEPS)
    plain = time.perf_counter() - start
    with FlopCounter() as counter:
        training.epoch(STEPS)
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        training.epoch(STEPS)
    shares: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        took = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        shares[_kind(event.key)] += took
    total = sum(shares.values())
    console.print(f"{title}: {1000 * plain / STEPS:.0f} ms per step", highlight=False)
    for kind, took in sorted(shares.items(), key=lambda item: -item[1]):
        console.print(f"    {took / total:6.1%}  {kind}", highlight=False)
    rate, reached = matrix_rate(device), counter.total / plain
    console.print(
        f"    {reached / 1e9:.0f} GFLOP/s, {reached / rate:.0%} of the {rate / 1e9:.0f} of a "
        "matrix product in fp32",
        highlight=False,
    )


def matrix_rate(device: torch.device, size: int = 2048) -> float:
    """Return the floating-point operations per second of a square matrix product in fp32."""
    a, b = torch.randn(2, size, size, device=device).unbind()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        product = a @ b
        product[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _kind(operation: str) -> str:
    name = operation.lower()
    if name.startswith(("aten::", "autograd::")) or "_" in name:
        for kind, patterns in KINDS.items():
            if any(pattern in name for pattern in patterns):
                return kind
    return "data loader" if "dataloader" in name else "everything else"
