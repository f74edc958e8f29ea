"""Optimizers of torch that do not import the compiler."""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch

OptimizerType = TypeVar("OptimizerType", bound=type[torch.optim.Optimizer])


def uncompiled(optimizer: OptimizerType) -> OptimizerType:
    """Return a subclass of an optimizer that does not import `torch._dynamo`.

    The import takes 2 s in each process that trains, as long as torch itself. Optimizers of torch
    import it only to exclude themselves from compilation, which does not apply here since optimizer
    steps are never compiled.

    Args:
        optimizer: a class of torch that does not differentiate through its steps.
    """

    def bare(name: str) -> object:
        return inspect.unwrap(getattr(optimizer, name))

    methods = {name: bare(name) for name in ("add_param_group", "load_state_dict", "state_dict")}
    methods["zero_grad"] = bare("zero_grad")
    methods["step"] = torch.no_grad()(bare("step"))  # type: ignore[type-var]
    return type(optimizer.__name__, (optimizer,), methods)  # type: ignore[return-value]
