"""Muon for convolution filters, and a group of optimizers with the interface of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tune_ode.training.optimization.uncompiled import uncompiled


def as_matrix(filters: Tensor, *, channels_last: bool) -> Tensor:
    """Return filters (out, in, k, k) as a matrix (out, in·k·k).

    With channels-last memory the columns are ordered (k, k, in), so that the matrix is a view.
    Orthogonalization commutes with any permutation of the columns.
    """
    return (filters.permute(0, 2, 3, 1) if channels_last else filters).flatten(1)


class FilterMuon(uncompiled(torch.optim.Muon)):  # type: ignore[misc]
    """`torch.optim.Muon`, which accepts matrices only, for convolution filters.

    Each parameter is updated through a 2-D view of its memory. The update is the Nesterov
    momentum, orthogonalized by five Newton–Schulz steps of the quintic with coefficients 3.4445,
    −4.7750, 2.0315 in bfloat16, times `lr · sqrt(max(1, out / (in·k·k)))`: the scale of the
    original (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). Weight decay is
    decoupled.

    Args:
        filters: parameters (out, in, k, k) on the training device.
        lr: learning rate of the orthogonalized update.
        momentum: in [0, 1).
        weight_decay: 0 for none.
    """

    def __init__(
        self, filters: Sequence[nn.Parameter], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        self._filters = list(filters)
        self._matrices = []
        for bank in self._filters:
            matrix = as_matrix(bank.detach(), channels_last=_channels_last(bank))
            assert matrix.data_ptr() == bank.data_ptr(), "an update of a copy would be lost"
            self._matrices.append(nn.Parameter(matrix))
        super().__init__(
            self._matrices,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=True,
            adjust_lr_fn="original",
        )

    def step(self, closure: None = None) -> None:
        """Update all filters that have a gradient."""
        for bank, matrix in zip(self._filters, self._matrices, strict=True):
            matrix.grad = None
            if bank.grad is not None:
                matrix.grad = as_matrix(bank.grad, channels_last=_channels_last(bank))
        super().step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state with momentum in the shape of the filters.

        The columns of a matrix depend on the memory format, which depends on the device.
        """
        return self._with_momentum(super().state_dict(), _as_filters)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a saved state, of filters in any memory format."""
        super().load_state_dict(self._with_momentum(state_dict, _as_matrix_of))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of filters and views."""
        super().zero_grad(set_to_none=True)
        for bank in self._filters:
            bank.grad = None

    def _with_momentum(
        self, state_dict: Mapping[str, Any], convert: Callable[[Tensor, Tensor], Tensor]
    ) -> dict[str, Any]:
        """Convert the momentum of each filter bank by a function of it and the bank."""
        state = {
            index: {name: convert(value, self._filters[index]) for name, value in values.items()}
            for index, values in state_dict["state"].items()
        }
        return {**state_dict, "state": state}


class OptimizerGroup:
    """Optimizers of disjoint parameters with the interface of one optimizer."""

    def __init__(self, parts: Mapping[str, torch.optim.Optimizer]) -> None:
        self.parts = dict(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups of all parts, not copies."""
        return [group for part in self.parts.values() for group in part.param_groups]

    def step(self) -> None:
        """Update the parameters of every part."""
        for part in self.parts.values():
            part.step()

    def zero_grad(self) -> None:
        """Drop the gradients of every part."""
        for part in self.parts.values():
            part.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the parts by name."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore saved states of the same parts."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])


def _as_filters(matrix: Tensor, bank: Tensor) -> Tensor:
    """Return a matrix of a filter bank in the bank's shape: the inverse of `as_matrix`."""
    out, channels, height, width = bank.shape
    if _channels_last(bank):
        return matrix.view(out, height, width, channels).permute(0, 3, 1, 2)
    return matrix.view(bank.shape)


def _as_matrix_of(filters: Tensor, bank: Tensor) -> Tensor:
    """Return a momentum as a matrix with the columns of a filter bank's matrix."""
    if filters.ndim == 2:  # written before momentum was saved in the shape of the filters
        return filters
    return as_matrix(filters, channels_last=_channels_last(bank))


def _channels_last(filters: Tensor) -> bool:
    return not filters.is_contiguous()
