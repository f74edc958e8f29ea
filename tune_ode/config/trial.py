"""One trial: everything that decides what is trained, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, get_args

from pydantic import Field, model_validator

from tune_ode.config.data import DataConfig
from tune_ode.config.execution import ExecutionConfig
from tune_ode.config.model import ModelConfig
from tune_ode.config.optimization import (
    Cosine,
    OptimizerConfig,
    ScheduleConfig,
    Sgd,
    TrainingConfig,
)
from tune_ode.config.part import Part
from tune_ode.config.solver import FixedGridSolver, SolverConfig
from tune_ode.errors import ConfigurationError, unknown_name


class TrialConfig(Part):
    """The whole configuration of one training; its dotted paths name a search's parameters."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    solver: SolverConfig = FixedGridSolver()
    optimizer: OptimizerConfig = Sgd()
    schedule: ScheduleConfig = Cosine()
    training: TrainingConfig = TrainingConfig()
    execution: ExecutionConfig = ExecutionConfig()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the initial weights, the order of batches, augmentation and dropout."""

    @model_validator(mode="after")
    def _no_batch_norm_under_the_adjoint(self) -> Self:
        if (
            self.model.architecture == "ode"
            and self.model.ode.normalization == "batch"
            and self.solver.gradient != "backprop"
        ):
            raise ValueError(
                "batch normalization inside the ODE function needs solver.gradient=backprop: the "
                f"{self.solver.gradient} solve would update its running statistics a second time; "
                "or set model.ode.normalization to group"
            )
        return self

    def with_values(self, values: Mapping[str, Any]) -> TrialConfig:
        """Return a copy with values set by dotted path, such as `{"solver.method": "dopri5"}`.

        A path that chooses another kind of part (`solver.method` of the other family,
        `optimizer.name`, `schedule.name`) starts that part from its own defaults, since the old
        part's settings have no meaning in it; the other values are set after that.

        Raises:
            ConfigurationError: a path that does not exist, or values that are not valid together.
        """
        tree = self.to_dict()
        for path, tag in TAGS.items():
            part = path.partition(".")[0]
            if path in values and not _same_kind(getattr(self, part), tag, values[path]):
                tree[part] = {tag: values[path]}
                tree = TrialConfig.from_dict(tree).to_dict()
        known = dotted_paths(tree)
        for path, value in values.items():
            if path not in known:
                near = [other for other in known if other.split(".")[0] == path.split(".")[0]]
                raise ConfigurationError(unknown_name("setting", path, near or known))
            *parents, leaf = path.split(".")
            node = tree
            for parent in parents:
                node = node[parent]
            node[leaf] = value
        return TrialConfig.from_dict(tree)


TAGS = {"solver.method": "method", "optimizer.name": "name", "schedule.name": "name"}
"""Path of each setting that chooses the kind of its part → its name there."""


def _same_kind(part: Part, tag: str, value: Any) -> bool:
    return value in get_args(type(part).model_fields[tag].annotation)


def dotted_paths(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: `{"a": {"b": 1}}` → `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= dotted_paths(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
