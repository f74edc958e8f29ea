"""How a training is computed: what changes its seconds and its rounding, not its mathematics."""

from __future__ import annotations

from typing import Literal

from tune_ode.config.base import ConfigModel

Precision = Literal["fp32", "bf16"]
MemoryFormat = Literal["contiguous", "channels_last"]


class ExecutionConfig(ConfigModel):
    """Precision, memory layout, compilation."""

    precision: Precision = "fp32"
    """`bf16`: convolutions and linear layers in bfloat16, by torch's autocast; weights, optimizer,
    the solver's state and its step control stay in float32."""
    memory_format: MemoryFormat | None = None
    """Of images, states and filters; None: contiguous on a CPU, channels_last on a GPU."""
    compile: bool = False
    """Compile the ODE function, on a fixed grid with backprop the whole unrolled block (on a GPU
    as CUDA graphs). Off by default: it takes 10 to 30 s of warm-up for each new shape."""
