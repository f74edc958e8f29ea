"""Run the search of this package without one ingredient, for `benchmarks.search_time --ablation`.

    python -m benchmarks.harness.ablated INGREDIENT search [options of tune-ode search]

The ingredient is replaced by its equivalent in the plain script: a new process for each trial, a
DataLoader over single images, rungs at equal epochs, torchdiffeq's solvers, or no warm start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tune_ode.cli.display import result as output
from tune_ode.cli.main import run
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker import task


def new_processes() -> None:
    """Start a new process for each trial."""
    from tune_ode.tuning.ray_backend import engine as ray_engine

    run_all = ray_engine.tune.run

    def without_reuse(*arguments: Any, **options: Any) -> Any:
        return run_all(*arguments, **options | {"reuse_actors": False})

    ray_engine.tune.run = without_reuse


def single_images() -> None:
    """Load the images of a trial one by one."""
    from tune_ode.tuning.ray_backend import engine as ray_engine

    defaults = ray_engine.run_on_ray.__kwdefaults__
    assert defaults is not None
    assert "run_trial" in defaults
    defaults["run_trial"] = run_trial_with_loader


def run_trial_with_loader(given: task.Task) -> Iterator[task.TrialEvent]:
    """Train a trial on images from a DataLoader; runs in the trial's process."""
    from tune_ode.data.batches import TrainBatches

    TrainBatches.epoch = _epoch_of_single_images  # type: ignore[method-assign]
    yield from task.run_trial(given)


def _epoch_of_single_images(self: Any, number: int, first_batch: int = 0) -> Iterator[Any]:
    """Yield the batches of an epoch, in which each image is converted and then collated."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.transforms import functional

    images = [functional.to_pil_image(image) for image in self._images]
    labels = self._labels.tolist()

    class Single(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            return functional.to_tensor(images[index]), labels[index]

    loader = DataLoader(Single(), batch_size=self.batch_size, shuffle=True, drop_last=True)
    for batch, (pixels, target) in enumerate(loader):
        if batch >= first_batch:
            yield self._normalize(pixels), target


def no_warm_start() -> None:
    """Start with a proposal of the sampler."""

    def enqueue(self: StudyAdapter, points: Iterable[Mapping[str, Any]]) -> None:
        pass

    StudyAdapter.enqueue = enqueue  # type: ignore[method-assign]


def unchanged() -> None:
    """Do not change the code."""


INGREDIENTS: Mapping[str, tuple[Callable[[], None], list[str]]] = MappingProxyType(
    {
        "reuse": (new_processes, []),
        "data-in-memory": (single_images, []),
        "seconds-rungs": (unchanged, ["--scheduler", "epochs"]),
        "solver-path": (unchanged, ["--fix", "solver.backend=torchdiffeq"]),
        "default-first": (no_warm_start, []),
    }
)
"""Name → how to remove it: a function that patches the code, and options of the search."""


def main() -> None:
    """Run the search without the ingredient named by the first argument."""
    if len(sys.argv) < 2 or sys.argv[1] not in INGREDIENTS:
        print(f"usage: python -m benchmarks.harness.ablated {{{','.join(INGREDIENTS)}}} search …")
        sys.exit(0 if "--help" in sys.argv else 2)
    remove, options = INGREDIENTS[sys.argv[1]]
    remove()
    output.print_result = lambda *_, **__: None  # no report is needed
    sys.exit(run([*sys.argv[2:], *options]))


if __name__ == "__main__":
    main()
