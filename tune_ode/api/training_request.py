"""What `train` trains: a recipe, a file or a trial, with the values of its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tune_ode.api.resolve import is_config_name, resolve_config, resolve_trial
from tune_ode.config import TrialConfig
from tune_ode.paths import RunPath
from tune_ode.tuning.options import SearchOptions

_FIELDS = MappingProxyType(
    {
        "dataset": "data.dataset",
        "train_images": "data.train_images",
        "validation": "data.validation_fraction",
        "groups": "data.groups",
        "seed": "seed",
    }
)
"""Option → the field of the configuration that it sets."""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """Arguments of `plan_search` for a training."""

    options: SearchOptions
    base: TrialConfig
    base_from: RunPath | None
    """The run that the configuration is from, if its images must be the same."""


def training_request(
    configuration: str | TrialConfig | None, values: Mapping[str, Any]
) -> TrainingRequest:
    """Return what to train.

    Args:
        configuration: a recipe, a YAML file, RUN:TRIAL or a configuration; None: the default one.
        values: the options that were given, by name; the others are those of the configuration.

    Raises:
        UsageError: no such configuration, or an invalid value.
    """
    base, base_from = configuration or TrialConfig(), None
    if isinstance(base, str):
        if "dataset" not in values and not is_config_name(base):
            base_from, _ = resolve_trial(base, or_untrained=True)
        base = resolve_config(base)
    changes = {path: values[name] for name, path in _FIELDS.items() if name in values}
    base = base.with_values(changes | values.get("fix", {}))
    other = {name: value for name, value in values.items() if name not in ("fix", "seed")}
    options = SearchOptions.from_dict(
        other
        | {
            "command": "train",
            "dataset": base.data.dataset,
            "train_images": base.data.train_images,
            "validation": base.data.validation_fraction,
            "groups": base.data.groups,
        }
    )
    return TrainingRequest(options=options, base=base, base_from=base_from)
