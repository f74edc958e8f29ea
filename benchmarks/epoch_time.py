"""Seconds an epoch: the classic recipe against this package, the same network and mathematics.

    python -m benchmarks.epoch_time --data-dir DIR [--repetitions 5] [--json FILE]

Four cases: backprop through dopri5; the adjoint with euler, rk4, dopri5. Each is trained by the
reference (`benchmarks/reference.py`), by this package with the same gradient method, and with the
gradient method recommended in its place. An epoch of each in turn, the order rotated from one
repetition to the next, so that a drift of the machine meets all alike; the ratios are taken within
a repetition. Data are included, evaluation is not.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.reference import ReferenceTraining
from benchmarks.results_file import results, write_results
from tune_ode.config import TrialConfig
from tune_ode.data import data_folder, load, trial_data
from tune_ode.training.evaluation import evaluate
from tune_ode.training.train import never, untold
from tune_ode.training.trial import Trial, TrialContext

IMAGES = 2_048
HELD_OUT = 2_000


@dataclass(frozen=True)
class Case:
    """One solver and gradient, as the reference runs it and as we do."""

    method: str
    gradient: str
    recommended: str
    """Gradient method that gives more for the time, in this case."""


CASES = {
    "backprop dopri5": Case("dopri5", "backprop", "backprop"),
    "adjoint euler": Case("euler", "adjoint", "backprop"),
    "adjoint rk4": Case("rk4", "adjoint", "backprop"),
    "adjoint dopri5": Case("dopri5", "adjoint", "backprop"),
}


class Training(Protocol):
    """What is timed."""

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch, or so many of its batches, and return the mean loss."""

    def evaluations(self) -> tuple[float, float]:
        """Return function evaluations per batch of the last epoch, forward and backward."""

    def score(self) -> float:
        """Return the accuracy on held-out images."""

    def warm_up_seconds(self) -> float | None:
        """Return what was spent ahead of the first batch, where it is known."""


class Reference:
    """The classic recipe."""

    def __init__(self, case: Case, data_dir: Path, device: torch.device, seed: int) -> None:
        self.training = ReferenceTraining(
            case.method,
            adjoint=case.gradient == "adjoint",
            data_dir=data_dir,
            images=IMAGES,
            device=device,
            seed=seed,
        )
        self.held_out = load(ours(case, case.gradient).data, data_dir)
        self.device = device

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch."""
        return self.training.epoch(batches)

    def evaluations(self) -> tuple[float, float]:
        """Return function evaluations per batch."""
        return self.training.evaluations_forward, self.training.evaluations_backward

    def warm_up_seconds(self) -> float | None:
        """Return None: it has none."""
        return None

    def score(self) -> float:
        """Return the accuracy on the first test images."""

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for start in range(0, HELD_OUT, 500):
                part = slice(start, start + 500)
                images = torch.tensor(self.held_out.test_images[part]).float() / 255
                labels = torch.tensor(self.held_out.test_labels[part])
                yield images.to(self.device), labels.to(self.device)

        return self.training.accuracy(batches())


class Ours:
    """The training of the same network by this package."""

    def __init__(
        self, config: TrialConfig, data_dir: Path, device: torch.device, seed: int
    ) -> None:
        images = load(config.data, data_dir)
        self.trial = Trial(config, trial_data(images, config, device), device, TrialContext())
        self.held_out = images
        self.device = device
        self._evaluations = (0.0, 0.0)

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch, or so many of its batches."""
        done = 0

        def enough() -> bool:
            nonlocal done
            done += 1
            return batches is not None and done >= batches

        trial = self.trial
        trial.train_until(math.inf, enough if batches else never, untold)
        progress = trial.progress
        loss = progress.loss.item() / progress.batch
        solves = progress.solves
        self._evaluations = (
            solves.evaluations_forward / progress.batch,
            solves.evaluations_backward / progress.batch,
        )
        progress.end_epoch(trial.clock.train.seconds)
        return loss

    def evaluations(self) -> tuple[float, float]:
        """Return function evaluations per batch."""
        return self._evaluations

    def warm_up_seconds(self) -> float | None:
        """Return the seconds of dummy batches, compilation included."""
        return self.trial.clock.warmup.seconds

    def score(self) -> float:
        """Return the accuracy on the first test images."""
        from tune_ode.data import evaluation_batches

        batches = evaluation_batches(
            self.held_out.test_images[:HELD_OUT],
            self.held_out.test_labels[:HELD_OUT],
            self.trial.data.statistics,
            self.device,
        )
        return evaluate(self.trial.model, batches)[1]


def ours(case: Case, gradient: str, seed: int = 0, **execution: Any) -> TrialConfig:
    """Return the configuration of the same training: network, optimizer, crops, batch size."""
    values: dict[str, Any] = {
        "data.dataset": "mnist",
        # a fifth is held out
        "data.train_images": IMAGES * 5 // 4,
        "data.augmentation.crop": 4,
        "solver.method": case.method,
        "solver.gradient": gradient,
        "optimizer.learning_rate": 0.1,
        "schedule.name": "constant",
        "training.epochs": 10_000,
        "seed": seed,
        **{f"execution.{name}": value for name, value in execution.items()},
    }
    return TrialConfig().with_values(values)


EXECUTIONS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "contiguous": {"memory_format": "contiguous"},
    "channels_last": {"memory_format": "channels_last"},
    "compiled": {"compile": True},
}
"""Name in the table → settings; `--execution` tries every one."""


def variants(case: Case, executions: list[str]) -> dict[str, TrialConfig | None]:
    """Return what is compared in a case: name → our configuration, None for the reference."""
    found: dict[str, TrialConfig | None] = {"reference": None}
    for execution in executions:
        for gradient in dict.fromkeys((case.gradient, case.recommended)):
            found[f"{gradient}, {execution}"] = ours(case, gradient, **EXECUTIONS[execution])
    return found


def build(
    case: Case, config: TrialConfig | None, data_dir: Path, device: torch.device, seed: int
) -> Training:
    """Return a training of a case, warmed up."""
    if config is None:
        return Reference(case, data_dir, device, seed)
    return Ours(config.model_copy(update={"seed": seed}), data_dir, device, seed)


def wait(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(training: Training, device: torch.device, batches: int | None = None) -> float:
    """Return the seconds of an epoch."""
    wait(device)
    start = time.perf_counter()
    training.epoch(batches)
    wait(device)
    return time.perf_counter() - start


def compare(
    case: Case,
    chosen: dict[str, TrialConfig | None],
    data_dir: Path,
    device: torch.device,
    repetitions: int,
    console: Console,
) -> tuple[dict[str, list[float]], dict[str, Training]]:
    """Train everything in turn; return the seconds of each epoch by name, and the trainings."""
    trainings = {name: build(case, config, data_dir, device, 0) for name, config in chosen.items()}
    for training in trainings.values():
        training.epoch(4)  # allocation, worker processes, autotuning
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    order = list(trainings)
    for repetition in range(repetitions):
        turn = repetition % len(order)
        for name in order[turn:] + order[:turn]:
            seconds[name].append(timed(trainings[name], device))
            console.print(
                f"  {repetition + 1}/{repetitions} {name}: {seconds[name][-1]:.2f} s",
                style="dim",
                highlight=False,
            )
    return seconds, trainings


def peak_memory(
    case: Case, config: TrialConfig | None, data_dir: Path, device: torch.device
) -> int:
    """Return the bytes that three training steps add, at their peak, in a process of their own."""
    # not a Pool: its processes may not start the reference's image workers
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        return executor.submit(_peak, case, config, data_dir, device).result()


def _peak(case: Case, config: TrialConfig | None, data_dir: Path, device: torch.device) -> int:
    # a first convolution, so that the libraries' own memory is not counted
    torch.nn.functional.conv2d(torch.ones(8, 8, 8, 8), torch.ones(8, 8, 3, 3))
    before = _resident("VmRSS")
    training = build(case, config, data_dir, device, 0)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # building has its own peak, from evaluating a dummy batch; 5: forget it
    Path("/proc/self/clear_refs").write_text("5")
    training.epoch(3)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _resident("VmHWM") - before


def _resident(what: str) -> int:
    """Return the bytes of memory this process has (VmRSS) or had at its peak (VmHWM).

    `getrusage` would begin with the parent's peak.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    value = next(line for line in lines if line.startswith(what))
    return int(value.split()[1]) * 1024


def fastest_precision(data_dir: Path, device: torch.device, console: Console) -> str:
    """Return the precision in which this device trains fastest, by a few steps of each."""
    case = CASES["adjoint euler"]
    seconds = {}
    for precision in ("fp32", "bf16"):
        training = build(case, ours(case, "backprop", precision=precision), data_dir, device, 0)
        training.epoch(1)
        seconds[precision] = timed(training, device, 2)
    ratio = seconds["bf16"] / seconds["fp32"]
    console.print(f"bf16 takes {ratio:.2f} times the seconds of fp32 here", highlight=False)
    return min(seconds, key=lambda name: seconds[name])


def rows_of(
    name: str,
    seconds: dict[str, list[float]],
    trainings: dict[str, Training],
    memory: dict[str, int],
) -> list[dict[str, Any]]:
    """Return the table of a case."""
    rows = []
    for variant, measured in seconds.items():
        ratios = [r / s for r, s in zip(seconds["reference"], measured, strict=True)]
        forward, backward = trainings[variant].evaluations()
        rows.append(
            {
                "case": name,
                "variant": variant,
                "seconds_per_epoch": statistics.median(measured),
                "ratio": statistics.median(ratios),
                "ratio_lowest": min(ratios),
                "ratio_highest": max(ratios),
                "nfe_forward": forward,
                "nfe_backward": backward,
                "accuracy": trainings[variant].score(),
                "warm_up_seconds": trainings[variant].warm_up_seconds(),
                "peak_memory_bytes": memory.get(variant),
                "seconds": measured,
            }
        )
    return rows


def print_rows(rows: list[dict[str, Any]], console: Console) -> None:
    """Print a table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for heading in ("s/epoch", "times faster", "NFE f/b", "accuracy", "warm-up", "memory"):
        table.add_column(heading, justify="right")
    for row in rows:
        bytes_ = row["peak_memory_bytes"]
        table.add_row(
            row["variant"],
            f"{row['seconds_per_epoch']:.2f}",
            f"{row['ratio']:.2f} ({row['ratio_lowest']:.2f}-{row['ratio_highest']:.2f})",
            f"{row['nfe_forward']:.1f}/{row['nfe_backward']:.1f}",
            f"{row['accuracy']:.4f}",
            "-" if row["warm_up_seconds"] is None else f"{row['warm_up_seconds']:.1f} s",
            "-" if bytes_ is None else f"{bytes_ / 2**20:.0f} MiB",
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", type=Path, help="folder with MNIST/raw; or TUNE_ODE_DATA")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="euler alone, 2 repetitions")
    parser.add_argument(
        "--execution", action="store_true", help="every precision, memory layout, and compiled"
    )
    parser.add_argument("--profile", action="store_true", help="where the time of a step goes")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.repetitions, options.cases = 2, ["adjoint euler"]
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data_dir = data_folder(options.data_dir)
    torch.set_num_threads(multiprocessing.cpu_count())
    if options.execution:
        executions = list(EXECUTIONS)
    else:
        executions = list(dict.fromkeys(["fp32", fastest_precision(data_dir, device, console)]))
    rows: list[dict[str, Any]] = []
    for name in options.cases:
        case = CASES[name]
        console.print(f"{name}, {IMAGES} images an epoch", style="bold", highlight=False)
        chosen = variants(case, executions)
        memory = {}
        if not options.no_memory:
            memory = {v: peak_memory(case, c, data_dir, device) for v, c in chosen.items()}
        seconds, trainings = compare(case, chosen, data_dir, device, options.repetitions, console)
        found = rows_of(name, seconds, trainings, memory)
        print_rows(found, console)
        rows += found
        if options.profile:
            from benchmarks.step_profile import print_profile

            for variant, training in trainings.items():
                print_profile(f"{name}: {variant}", training, device, console)
    measured = results("epoch_time", options.repetitions, rows)
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
