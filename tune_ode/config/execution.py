"""Execution of a training: options that change its speed and rounding, not its mathematics."""

from __future__ import annotations

from typing import Literal

from tune_ode.config.base import ConfigModel

Precision = Literal["fp32", "bf16"]
MemoryFormat = Literal["contiguous", "channels_last"]
ExecutionMode = Literal["eager", "compiled", "cuda_graph"]
"""How ODE blocks really run: `compile` falls back where compilation or recording fails."""


class ExecutionConfig(ConfigModel):
    """Precision, memory layout, compilation."""

    precision: Precision = "fp32"
    """`bf16`: convolutions and linear layers in bfloat16 (torch.autocast); weights, optimizer,
    solver state and step control in float32."""
    memory_format: MemoryFormat | None = None
    """Layout of images, states and filters; None: contiguous on a CPU, channels_last on a GPU."""
    compile: bool = False
    """Compile the ODE function; on a fixed grid with backprop, the unrolled block (on a GPU with
    CUDA graphs). Off by default: it adds 10 to 30 s of warm-up per shape."""
