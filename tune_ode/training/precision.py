"""Arithmetic of float32 operations: IEEE single precision, or a faster one such as TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

backends: Any = torch.backends
_SETTINGS = (
    backends.cudnn.conv,
    backends.cudnn.rnn,
    backends.cuda.matmul,
    backends.mkldnn.conv,
    backends.mkldnn.matmul,
)
_FIRST_WITH_TF32 = (8, 0)
"""Compute capability of NVIDIA's Ampere."""


def uses_tf32(device: torch.device) -> bool | None:
    """Return whether float32 convolutions round their inputs to TF32; None on a CPU."""
    if device.type != "cuda":
        return None
    allowed = backends.cudnn.conv.fp32_precision == "tf32"
    return allowed and torch.cuda.get_device_capability(device) >= _FIRST_WITH_TF32


@contextmanager
def ieee_fp32(device: torch.device) -> Iterator[None]:
    """Compute in IEEE single precision inside the block, whatever the process has set."""
    before = [setting.fp32_precision for setting in _SETTINGS]
    try:
        for setting in _SETTINGS:
            setting.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for setting, value in zip(_SETTINGS, before, strict=True):
            setting.fp32_precision = value
