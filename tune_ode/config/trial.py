"""The configuration of a trial: everything that determines its result."""

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

_RESET_HORIZON = {
    "data.dataset", "data.train_images", "data.validation_fraction", "training.epochs",
    "training.batch_size",
}  # fmt: skip


class TrialConfig(ConfigModel):
    """The configuration of one training; a search names its parameters by dotted path."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    solver: SolverConfig = FixedGridSolver()
    optimizer: OptimizerConfig = Sgd()
    schedule: ScheduleConfig = Cosine()
    training: TrainingConfig = TrainingConfig()
    execution: ExecutionConfig = ExecutionConfig()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the initial weights, the order of batches, augmentation and dropout."""

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

        A path that selects another variant of a section (`solver.method` of the other family,
        `optimizer.name`, `schedule.name`) resets the section to that variant's defaults before
        the other values are set. A path that changes how long an epoch is resets
        `training.horizon`, which counts batches.

        Raises:
            ConfigurationError: an unknown path, or values that are not valid together.
        """
        tree = self.to_dict()
        if _RESET_HORIZON & values.keys():
            tree["training"]["horizon"] = None
        for path, tag in TAGS.items():
            section = path.partition(".")[0]
            if path in values and values[path] not in _names(type(getattr(self, section)), tag):
                tree[section] = _defaults(section, tag, values[path])
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
"""Path of each field that selects the variant of its section → its name in the section."""


def _names(variant: type[ConfigModel], tag: str) -> tuple[Any, ...]:
    return get_args(variant.model_fields[tag].annotation)


def _variants(section: str) -> tuple[type[ConfigModel], ...]:
    return get_args(TrialConfig.model_fields[section].annotation)


def _defaults(section: str, tag: str, name: Any) -> dict[str, Any]:
    """Return the default values of the variant that a name selects."""
    for variant in _variants(section):
        if name in _names(variant, tag):
            return dict(_defaults_of(variant, tag, name))
    # no such variant: raises an error that lists them
    return dict(TrialConfig.from_dict({section: {tag: name}}).to_dict()[section])


@cache
def _defaults_of(variant: type[ConfigModel], tag: str, name: str) -> dict[str, Any]:
    return variant.from_dict({tag: name}).to_dict()


def _unknown_field(path: str, known: Mapping[str, Any]) -> str:
    """Return an error message with the variants that have the field, or the closest names."""
    section, _, leaf = path.partition(".")
    for tag, name in TAGS.items():
        if tag.startswith(f"{section}."):
            options = [
                str(option)
                for variant in _variants(section)
                if leaf in variant.model_fields
                for option in _names(variant, name)
            ]
            if options:
                return f"{path} is not a field of {tag}={known[tag]}, but of {', '.join(options)}"
    near = [other for other in known if other.partition(".")[0] == section]
    return suggest_name("field", path, near or known)


def dotted_paths(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: `{"a": {"b": 1}}` → `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = prefix + key
        flat |= dotted_paths(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return flat
