"""Measure what a tolerance gives: the errors of solutions and of adjoint gradients.

    python -m benchmarks.tolerances --data-dir DIR [--quick] [--json FILE]

The block of the classic recipe is trained for some batches, and then solved with dopri5 on further
batches, with gradients of the mean cross-entropy. Errors are relative to backprop through a solve
in double precision with tolerances of 1e-6: that of x(T) in tolerances (root mean square of
error / (atol + rtol |x|)), those of gradients in the L2 norm. A gradient marked "unscaled" is
computed as before the adjoint was divided by its root mean square.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.harness.results_file import finish, new_parser, print_rows
from benchmarks.harness.trained_block import TrainedBlock, mean_loss, solver
from tune_ode.data import data_folder
from tune_ode.solvers import gradients

BATCHES = (32, 128)
TOLERANCES = (1e-2, 1e-3, 1e-4)
TRAINED, FURTHER = 40, 3
ADJOINT_TOLERANCE = 1e-3
REFERENCE = {"method": "dopri5", "rtol": 1e-6, "max_evaluations": 10_000}
UNSCALED = " unscaled"
GRADIENTS = (
    "backprop", "adjoint" + UNSCALED, "adjoint", "adjoint_seminorm" + UNSCALED, "adjoint_seminorm",
)  # fmt: skip

Measured = tuple[Tensor, Tensor, Tensor]
"""x(T), dL/dx(0) and dL/dθ, flat."""


def measure(
    trained: TrainedBlock, fields: dict[str, Any], gradient: str, dtype: torch.dtype
) -> tuple[list[Measured], dict[str, float]]:
    """Return the results of every batch but the first, and mean evaluations and RMS of a(T).

    The first batch has no step size to carry.
    """
    unscaled = gradient.endswith(UNSCALED)
    block = trained.block(solver(fields, gradient.removesuffix(UNSCALED))).to(dtype)
    head, found = trained.head(dtype), []
    sums = dict.fromkeys(("forward", "backward", "a_rms"), 0.0)
    ones = mock.patch.object(gradients, "adjoint_scale", lambda gradient: gradient.new_ones(()))
    with ones if unscaled else contextlib.nullcontext():
        for number, (state, labels) in enumerate(trained.batches):
            x = state.clone().to(dtype).requires_grad_()
            block.zero_grad()
            block.statistics.reset()
            ends: list[Tensor] = []
            hook = block.register_forward_hook(lambda _, __, end, ends=ends: ends.append(end))
            loss = mean_loss(block, head, x, labels)
            hook.remove()
            ends[0].retain_grad()
            loss.backward()
            if number == 0:
                continue
            slopes = [tensor.grad for tensor in (ends[0], x, *block.parameters())]
            last, first, *weights = [slope for slope in slopes if slope is not None]
            theta = torch.cat([slope.flatten() for slope in weights])
            found.append((ends[0].detach().double(), first.double(), theta.double()))
            sums["forward"] += block.statistics.evaluations_forward
            sums["backward"] += block.statistics.evaluations_backward
            sums["a_rms"] += last.square().mean().sqrt().item()
    return found, {name: value / len(found) for name, value in sums.items()}


def errors(found: list[Measured], exact: list[Measured], tolerance: float) -> dict[str, float]:
    """Return the mean errors over the batches."""
    rows = []
    for ours, reference in zip(found, exact, strict=True):
        scale = tolerance * (1 + reference[0].abs())
        in_tolerances = ((ours[0] - reference[0]) / scale).square().mean().sqrt()
        relative = [(a - b).norm() / b.norm() for a, b in zip(ours[1:], reference[1:], strict=True)]
        rows.append(torch.stack([in_tolerances, *relative]))
    means = torch.stack(rows).mean(0).tolist()
    return dict(zip(("x_error", "dx_error", "theta_error"), means, strict=True))


def rows_of(
    trained: TrainedBlock, size: int, tolerances: tuple[float, ...]
) -> list[dict[str, Any]]:
    """Measure each tolerance and first step with a batch size; the adjoints with one tolerance."""
    exact, _ = measure(trained, REFERENCE, "recompute", torch.float64)
    rows = []
    for tolerance, carried, gradient in itertools.product(tolerances, (True, False), GRADIENTS):
        if gradient != "backprop" and tolerance != ADJOINT_TOLERANCE:
            continue
        fields = {"method": "dopri5", "rtol": tolerance, "carry_step": carried}
        found, counts = measure(trained, fields, gradient, torch.float32)
        rows.append(
            {
                "batch": size,
                "tolerance": tolerance,
                "first_step": "carried" if carried else "estimated",
                "gradient": gradient,
                **counts,
                **errors(found, exact, tolerance),
            }
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="batch 32, tolerance 1e-3, 4 training batches")
    parser.add_argument("--data-dir", type=Path, help="directory with MNIST/raw")
    options = parser.parse_args()
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[dict[str, Any]] = []
    for size in BATCHES[:1] if options.quick else BATCHES:
        with console.status(f"batch {size} …"):
            count = 4 if options.quick else TRAINED
            folder = data_folder(options.data_dir)
            trained = TrainedBlock(size, folder, device, trained=count, further=FURTHER)
            rows += rows_of(trained, size, (ADJOINT_TOLERANCE,) if options.quick else TOLERANCES)
    print_rows(rows, console)
    finish(console, options.json, "tolerances", FURTHER - 1, rows)


if __name__ == "__main__":
    main()
