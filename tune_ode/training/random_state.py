"""Random state of a trial, isolated from the rest of the process."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import Tensor


class RandomState:
    """The global random state of torch for one trial, swapped in by each `with state:` block.

    A training is suspended at each report, and a process trains several trials: they must not
    affect each other's random numbers. Unlike `torch.random.fork_rng`, this keeps the inner state
    for the next block.

    Args:
        seed: seed of the first block.
        device: training device, whose generator is swapped in addition to that of the CPU.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [torch.device("cpu")]
        if device.type == "cuda":
            self._devices.append(device)
        self._inner = [torch.Generator(d).manual_seed(seed).get_state() for d in self._devices]
        self._outer: list[Tensor] | None = None

    def __enter__(self) -> None:
        assert self._outer is None, "the random state is already in use"
        self._outer = self._swap(self._inner)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._outer is not None
        self._inner = self._swap(self._outer)
        self._outer = None

    def state_dict(self) -> dict[str, Tensor]:
        """Return the states of the generators as uint8 tensors on the CPU, by device type."""
        return {d.type: state for d, state in zip(self._devices, self._inner, strict=True)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore saved states; a device without a saved state keeps its seed."""
        for index, device in enumerate(self._devices):
            self._inner[index] = state.get(device.type, self._inner[index])

    def _swap(self, states: list[Tensor]) -> list[Tensor]:
        replaced = []
        for device, state in zip(self._devices, states, strict=True):
            if device.type == "cuda":
                replaced.append(torch.cuda.get_rng_state(device))
                torch.cuda.set_rng_state(state, device)
            else:
                replaced.append(torch.get_rng_state())
                torch.set_rng_state(state)
        return replaced
