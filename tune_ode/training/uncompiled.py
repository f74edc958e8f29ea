"""torch's optimizers without the compiler, which they load only to be left alone by it."""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])


def uncompiled(kind: Kind) -> Kind:
    """Return a class of optimizers that works as another does, and does not load `torch._dynamo`.

    That takes as long as torch itself, 2 s of each process that trains. torch imports it where an
    optimizer takes its parameters and at every step, to tell it not to look into them; a model may
    be compiled all the same, as its optimizer never is here.

    Args:
        kind: an optimizer of torch's that does not differentiate through its steps.
    """

    def bare(name: str) -> object:
        return inspect.unwrap(getattr(kind, name))

    methods = {name: bare(name) for name in ("add_param_group", "load_state_dict", "state_dict")}
    methods["zero_grad"] = bare("zero_grad")
    methods["step"] = torch.no_grad()(bare("step"))  # type: ignore[type-var]
    return type(kind.__name__, (kind,), methods)  # type: ignore[return-value]
