"""Our own search with one ingredient left out, for `benchmarks.search_time --ablation`.

    python -m benchmarks.ablated INGREDIENT search [options of tune-ode search]

What is left out is put back to what the plain script has: a new process for each trial, a
DataLoader over single images, rungs at equal epochs, torchdiffeq's solvers, no default first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tune_ode.cli import search_commands
from tune_ode.cli.main import run
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker import task


def new_processes() -> None:
    """Start a process for each trial."""
    from tune_ode.tuning.ray_backend import engine as ray_engine

    whole = ray_engine.tune.run

    def without_reuse(*arguments: Any, **settings: Any) -> Any:
        return whole(*arguments, **settings | {"reuse_actors": False})

    ray_engine.tune.run = without_reuse


def single_images() -> None:
    """Let trials read their images one by one."""
    from tune_ode.tuning.ray_backend import engine as ray_engine

    settings = ray_engine.run_on_ray.__kwdefaults__
    assert settings is not None
    settings["answer"] = answer_with_loader


def answer_with_loader(given: task.Task) -> Iterator[task.TrialEvent]:
    """Train a trial on images from a DataLoader; in the trial's process."""
    from tune_ode.data.batches import TrainBatches

    TrainBatches.epoch = _epoch_of_single_images  # type: ignore[method-assign]
    yield from task.run_trial(given)


def _epoch_of_single_images(self: Any, number: int, first_batch: int = 0) -> Iterator[Any]:
    """Yield an epoch as torch's data sets do: each image converted, then collated."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.transforms import functional

    images = [functional.to_pil_image(image) for image in self._images]
    labels = self._labels.tolist()

    class Single(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, place: int) -> Any:
            return functional.to_tensor(images[place]), labels[place]

    loader = DataLoader(Single(), batch_size=self.batch_size, shuffle=True, drop_last=True)
    for batch, (pixels, target) in enumerate(loader):
        if batch >= first_batch:
            yield self._normalize(pixels), target


def no_default() -> None:
    """Let the sampler begin."""

    def start_from(self: StudyAdapter, points: Iterable[Mapping[str, Any]]) -> None:
        pass

    StudyAdapter.enqueue = start_from  # type: ignore[method-assign]


def nothing() -> None:
    """Leave the code as it is."""


INGREDIENTS: Mapping[str, tuple[Callable[[], None], list[str]]] = MappingProxyType(
    {
        "reuse": (new_processes, []),
        "data-in-memory": (single_images, []),
        "seconds-rungs": (nothing, ["--scheduler", "epochs"]),
        "solver-path": (nothing, ["--fix", "solver.backend=torchdiffeq"]),
        "default-first": (no_default, []),
    }
)
"""Name → what leaves it out: a change of the code, and options of the search."""


def main() -> None:
    """Run the search without the ingredient that is named first."""
    if len(sys.argv) < 2 or sys.argv[1] not in INGREDIENTS:
        print(f"usage: python -m benchmarks.ablated {{{','.join(INGREDIENTS)}}} search …")
        sys.exit(0 if "--help" in sys.argv else 2)
    leave_out, options = INGREDIENTS[sys.argv[1]]
    leave_out()
    search_commands._conclude = lambda *_, **__: None  # nobody reads its report
    sys.exit(run([*sys.argv[2:], *options]))


if __name__ == "__main__":
    main()
