"""One trial: everything that decides what is trained, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Self, get_args

from pydantic import Field, model_validator

from tune_ode.config.base import ConfigModel
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
from tune_ode.config.solver import FixedGridSolver, SolverConfig
from tune_ode.errors import ConfigurationError, suggest_name


class TrialConfig(ConfigModel):
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
            if path in values and values[path] not in _names(type(getattr(self, part)), tag):
                tree[part] = _defaults(part, tag, values[path])
        for path, value in values.items():
            *parents, leaf = path.split(".")
            node: Any = tree
            for parent in parents:
                node = node.get(parent) if isinstance(node, dict) else None
            if not isinstance(node, dict) or isinstance(node.get(leaf, {}), dict):
                raise ConfigurationError(_unknown_field(path, dotted_paths(tree)))
            node[leaf] = value
        return TrialConfig.from_dict(tree)


TAGS = {"solver.method": "method", "optimizer.name": "name", "schedule.name": "name"}
"""Path of each setting that chooses the kind of its part → its name there."""


def _names(kind: type[ConfigModel], tag: str) -> tuple[Any, ...]:
    return get_args(kind.model_fields[tag].annotation)


def _variants(part: str) -> tuple[type[ConfigModel], ...]:
    return get_args(TrialConfig.model_fields[part].annotation)


def _defaults(part: str, tag: str, name: Any) -> dict[str, Any]:
    """Return the settings of the kind of a part that a name chooses."""
    for kind in _variants(part):
        if name in _names(kind, tag):
            return dict(_defaults_of(kind, tag, name))
    # no such kind: this says which there are
    return dict(TrialConfig.from_dict({part: {tag: name}}).to_dict()[part])


@cache
def _defaults_of(kind: type[ConfigModel], tag: str, name: str) -> dict[str, Any]:
    return kind.from_dict({tag: name}).to_dict()


def _unknown_field(path: str, known: Mapping[str, Any]) -> str:
    """Say what is there instead: another kind of the part that has it, or the nearest names."""
    part, _, leaf = path.partition(".")
    for tag, name in TAGS.items():
        if tag.startswith(f"{part}."):
            options = [
                str(option)
                for kind in _variants(part)
                if leaf in kind.model_fields
                for option in _names(kind, name)
            ]
            if options:
                return f"{path} is no setting of {tag}={known[tag]}, but of {', '.join(options)}"
    near = [other for other in known if other.partition(".")[0] == part]
    return suggest_name("setting", path, near or known)


def dotted_paths(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: `{"a": {"b": 1}}` → `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= dotted_paths(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
