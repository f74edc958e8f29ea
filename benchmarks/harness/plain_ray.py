"""A user's own search script with Ray Tune, Optuna and torchdiffeq, as a baseline.

    python -m benchmarks.harness.plain_ray --dataset digits --seconds 150 --seed 0 --output DIR

The script uses a function trainable based on torchdiffeq's MNIST example, a DataLoader,
`OptunaSearch`, and `ASHAScheduler` over epochs, each with the options that its documentation
recommends. It is tuned as far as the design allows: it uses the sampler of this package, proposes
only as many trials as can run, and reads images once per trial. From this package it only uses the
split of the data, so that accuracies are measured on the same images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchdiffeq import odeint, odeint_adjoint

from tune_ode.config import DataConfig
from tune_ode.data import load, split
from tune_ode.data.splits import hold_out_test

MAX_EPOCHS = 30
CONCURRENT = 2
TOLERANCE = 1e-3


def space(trial: optuna.Trial) -> None:
    """Define the space, which is that of `OPTIONS` in benchmarks.harness.searches."""
    method = trial.suggest_categorical("method", ["euler", "midpoint", "rk4", "dopri5"])
    if method == "euler":
        trial.suggest_int("euler_steps", 1, 8, log=True)
    elif method == "midpoint":
        trial.suggest_int("midpoint_steps", 1, 4)
    elif method == "rk4":
        trial.suggest_int("rk4_steps", 1, 2)
    else:
        trial.suggest_float("rtol", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("gradient", ["backprop", "adjoint_seminorm"])
    trial.suggest_categorical("width", [16, 32, 48, 64, 96])
    trial.suggest_int("convolutions", 1, 3)
    trial.suggest_float("dropout", 0.0, 0.5)
    if trial.suggest_categorical("optimizer", ["sgd", "adamw"]) == "sgd":
        trial.suggest_float("sgd_rate", 1e-2, 0.5, log=True)
    else:
        trial.suggest_float("adamw_rate", 3e-4, 2e-2, log=True)
    trial.suggest_categorical("batch_size", [32, 64, 128])
    trial.suggest_int("epochs", 3, MAX_EPOCHS, log=True)


def norm(channels: int) -> nn.Module:
    """Group normalization with at most 32 groups."""
    return nn.GroupNorm(min(32, channels), channels)


class OdeFunction(nn.Module):
    """[norm, ReLU, convolution of state and time] × n, norm."""

    def __init__(self, channels: int, convolutions: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(channels) for _ in range(convolutions + 1))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels + 1, channels, 3, padding=1) for _ in range(convolutions)
        )

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return dx/dt."""
        for normalize, convolution in zip(self.norms, self.convolutions, strict=False):
            x = torch.relu(normalize(x))
            x = convolution(torch.cat([torch.ones_like(x[:, :1]) * t, x], 1))
        return self.norms[-1](x)  # type: ignore[no-any-return]


class OdeBlock(nn.Module):
    """x(0) → x(1)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.function = OdeFunction(config["width"], config["convolutions"])
        self.method = config["method"]
        self.solve = odeint if config["gradient"] == "backprop" else odeint_adjoint
        tolerance = config.get("rtol", TOLERANCE)
        self.options: dict[str, Any] = {"rtol": tolerance, "atol": tolerance}
        if self.method != "dopri5":
            self.options["options"] = {"step_size": 1 / config[f"{self.method}_steps"]}
        elif self.solve is odeint_adjoint:
            self.options["adjoint_options"] = {"norm": "seminorm"}

    def forward(self, x: Tensor) -> Tensor:
        """Return the state at t = 1."""
        times = torch.tensor([0.0, 1.0]).type_as(x)
        end: Tensor = self.solve(self.function, x, times, method=self.method, **self.options)[1]
        return end


def build(config: dict[str, Any], size: int) -> nn.Module:
    """Return the network of the example, without downsampling for 8×8 images."""
    width = config["width"]
    stem: list[nn.Module] = [nn.Conv2d(1, width, 3)]
    for _ in range(2 if size > 8 else 0):
        stem += [norm(width), nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1)]
    head = [norm(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(
        *stem, OdeBlock(config), *head, nn.Dropout(config["dropout"]), nn.Linear(width, 10)
    )


def images(dataset: str, data_dir: str | None) -> Dataset[tuple[Tensor, int]]:
    """Return the training images as a torch data set."""
    if dataset == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
        return TensorDataset(pixels, torch.tensor(digits.target))
    from torchvision import transforms
    from torchvision.datasets import MNIST

    found: Dataset[tuple[Tensor, int]] = MNIST(str(data_dir), transform=transforms.ToTensor())
    return found


def split_of(
    dataset: str, data_dir: str | None, train_images: int | None
) -> tuple[list[int], list[int]]:
    """Return the indices of this package's training and validation images in the source."""
    config = DataConfig(dataset=dataset, train_images=train_images)
    images = load(config, None if data_dir is None else Path(data_dir))
    parts = split(images, config)
    if dataset != "digits":
        return parts.train.tolist(), parts.validation.tolist()
    from sklearn.datasets import load_digits

    kept = hold_out_test(load_digits().target.astype(np.int64)).train
    return kept[parts.train].tolist(), kept[parts.validation].tolist()


def epochs(config: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Train, and yield a report after every epoch."""
    torch.manual_seed(config["seed"])
    data = images(config["dataset"], config["data_dir"])
    batches = DataLoader(
        Subset(data, config["train"]),
        batch_size=config["batch_size"],
        shuffle=True,
        drop_last=True,
    )
    held_out = DataLoader(Subset(data, config["validation"]), batch_size=500)
    network = build(config, data[0][0].shape[-1])
    if config["optimizer"] == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            network.parameters(), lr=config["sgd_rate"], momentum=0.9
        )
    else:
        optimizer = torch.optim.AdamW(network.parameters(), lr=config["adamw_rate"])
    seconds = 0.0
    for _ in range(config["epochs"]):
        start = time.perf_counter()
        network.train()
        for pixels, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(pixels), labels).backward()
            optimizer.step()
        seconds += time.perf_counter() - start
        network.eval()
        with torch.no_grad():
            hits = sum(
                (network(pixels).argmax(1) == labels).sum().item() for pixels, labels in held_out
            )
        yield {
            "accuracy": hits / len(config["validation"]),
            "train_seconds": seconds,
            "unix_seconds": time.time(),
        }


def train(config: dict[str, Any], fixed: dict[str, Any]) -> None:
    """Train one trial; `fixed` has the values common to all trials."""
    for report in epochs(config | fixed):
        tune.report(report)


def search(options: argparse.Namespace, fixed: dict[str, Any]) -> None:
    """Search until the time is up; Ray writes a `result.json` for each trial to the output."""
    ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=CONCURRENT)
    sampler = optuna.samplers.TPESampler(
        multivariate=True, group=True, constant_liar=True, seed=options.seed
    )
    tuner = tune.Tuner(
        tune.with_parameters(train, fixed=fixed),
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=OptunaSearch(space=space, metric="accuracy", mode="max", sampler=sampler),
            scheduler=ASHAScheduler(
                time_attr="training_iteration", max_t=MAX_EPOCHS, grace_period=1
            ),
            num_samples=-1,
            max_concurrent_trials=CONCURRENT,
            time_budget_s=options.seconds,
        ),
        run_config=tune.RunConfig(storage_path=str(options.output.absolute()), name="plain"),
    )
    tuner.fit()


def main() -> None:
    """Search, or retrain one configuration and print its reports as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("plain"))
    parser.add_argument("--retrain", type=json.loads, metavar="JSON", help="configuration to train")
    options = parser.parse_args()
    parts = split_of(options.dataset, options.data_dir, options.train_images)
    fixed = {
        "dataset": options.dataset,
        "data_dir": options.data_dir,
        "seed": options.seed,
        "train": parts[0],
        "validation": parts[1],
    }
    if options.retrain is None:
        search(options, fixed)
        return
    torch.set_num_threads(1)  # as in Ray's workers
    for report in epochs(options.retrain | fixed):
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
