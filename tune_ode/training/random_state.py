"""A trial's own random numbers, apart from everyone else's in the process."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import Tensor


class RandomState:
    """Torch's global random state as the trial sees it; swapped in for each `with state:` block.

    A training is suspended at each report, and its process has trained others before: what they
    draw must not change this trial, nor this trial change them. `torch.random.fork_rng` forgets
    the inner state at its end; this keeps it for the next block.

    Args:
        seed: of the first block's random numbers.
        device: the training device; its generator is swapped beside the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [torch.device("cpu")]
        if device.type == "cuda":
            self._devices.append(device)
        self._own = [torch.Generator(d).manual_seed(seed).get_state() for d in self._devices]
        self._outer: list[Tensor] | None = None

    def __enter__(self) -> None:
        assert self._outer is None, "the trial's random state is in use already"
        self._outer = self._swap(self._own)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._outer is not None
        self._own = self._swap(self._outer)
        self._outer = None

    def state_dict(self) -> dict[str, Tensor]:
        """Return the generators' states as uint8 tensors on the CPU, by device type."""
        return {d.type: state for d, state in zip(self._devices, self._own, strict=True)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from saved states; a device that has none there keeps its seed's."""
        for place, device in enumerate(self._devices):
            self._own[place] = state.get(device.type, self._own[place])

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
