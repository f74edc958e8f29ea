"""Keyword arguments of the API: the options of the commands, with the same names and meaning.

The defaults are those of the options' models, such as `SearchOptions`, which also validate. An
argument that is left out or None has its default.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypedDict, TypeVar, get_type_hints

from tune_ode.config.base import ConfigModel
from tune_ode.errors import UsageError, suggest_name
from tune_ode.text import parse_duration
from tune_ode.tuning.search.asha import SchedulerName
from tune_ode.tuning.study.objective import ObjectiveName

PathLike = str | os.PathLike[str]
Duration = float | str
"""Seconds, or a text such as `90s`, `6m` or `1h30m`."""
Function = TypeVar("Function", bound=Callable[..., Any])
_DURATIONS = ("time_budget", "trial_seconds", "trial_timeout")
_LISTS = ("start_from", "log_to", "cases")


class Machine(TypedDict, total=False):
    """Where the data and the processors of trials are."""

    data_dir: PathLike | None
    """Directory of data sets, and for downloads; also `TUNE_ODE_DATA`."""
    cpus_per_trial: int | None
    """CPU cores and threads per trial."""
    gpus_per_trial: float | Literal["auto"] | None
    """GPUs per trial; 0.25: four share one; `auto`, in a search: as many as fit in memory."""


class NewRun(Machine, total=False):
    """What is trained on, and where the run is written."""

    dataset: str
    """`digits`, `mnist`, …, or `folder:PATH`."""
    train_images: int | None
    """Size of a stratified subset to train on."""
    skip_broken: bool
    """Leave out images of `folder:PATH` that cannot be used."""
    fix: Mapping[str, Any]
    """Values of the configuration by dotted path; a search keeps them constant."""
    name: str | None
    """Name of the run; None: derived from the data set and the time, or the options."""
    output: PathLike
    """Parent of the run directory; may be an object store, `s3://…` or `gs://…`."""


class TrainArguments(NewRun, total=False):
    """Arguments of `train`, which `search` has too."""

    validation: float | None
    """Share of the training images held out for validation, in (0, 1)."""
    groups: str | None
    """Pattern or file that names groups of images; a group stays in one part of a split."""
    precision: Literal["fp32", "bf16"] | None
    """`bf16`: layers in half precision, solver state in fp32."""
    seed: int
    """Seed of sampler, splits and trainings, from 0."""


class Limits(TypedDict, total=False):
    """Limits, logs and cluster of a search, which a resume can change."""

    trials: int | None
    """Maximum number of trials."""
    time_budget: Duration | None
    """Wall-clock seconds; without any limit, four minutes."""
    gpu_hours: float | None
    """Maximum GPU hours of all trials."""
    target_accuracy: float | None
    """Stop the search at this validation accuracy, in (0, 1]."""
    patience: int | None
    """Stop the search after this many trials without an improvement of the objective."""
    trial_timeout: Duration | None
    """Fail a trial that has not reported for this long."""
    storage: str | None
    """Database for the study: `sqlite:///PATH` or `postgresql://…`."""
    log_to: str | Iterable[str]
    """Also log metrics to `tensorboard`, `mlflow[:URI]` or `wandb[:PROJECT]`."""
    max_concurrent: int | None
    """Maximum concurrent trials; None: what fits."""
    address: str | None
    """Ray cluster, `HOST:PORT` or `auto`; None: the one that this process is connected to, or else
    a local Ray."""


class SearchArguments(TrainArguments, Limits, total=False):
    """Arguments of `search`."""

    space: PathLike
    """A predefined space, a YAML file, or `package.module:NAME`."""
    set: Mapping[str, str]
    """Parameter → restricted range: `16..64`, `1e-4..1e-2,log`, `0..0.4,step 0.1`, `relu|gelu`."""
    start_from: PathLike | Iterable[PathLike]
    """Recipes, YAML files and runs whose configurations are tried first."""
    trial_seconds: Duration | None
    """Maximum training time of a trial."""
    instants_per_decade: int
    """Reports of a trial per factor of ten in training seconds, 2 to 32."""
    objective: ObjectiveName
    """`anytime` (accuracy over log-seconds), `accuracy`, or `pareto` (both)."""
    sampler: str
    """`tpe`, `tpe-cost`, `random`, `grid`, or `package.module:factory`."""
    scheduler: SchedulerName
    """Stop bad trials early, at equal `seconds` or `epochs`; or `none`."""
    calibrate: bool
    """If trials shared a device, measure their slowdown after the last trial."""


class ResumeArguments(Machine, Limits, total=False):
    """Arguments of `resume`: options that change."""

    dataset: str
    """`folder:PATH` if the run's images have moved."""


class ConfirmArguments(Machine, total=False):
    """Arguments of `confirm`."""

    top: int | None
    """Number of best trials; None: 5, or as before."""
    seeds: int | None
    """Trainings of each, at least 2; None: 5, or as before."""
    dataset: str
    """`folder:PATH` if the run's images have moved."""


class CompareArguments(NewRun, total=False):
    """Arguments of `compare`."""

    cases: str | Iterable[str]
    """METHOD:GRADIENT, `resnet`, or `classic` for the default four."""
    seeds: int
    """Trainings per case; 2 or more give intervals."""
    epochs: int
    """Epochs of each training."""


def option_values(given: Mapping[str, Any], arguments: type[Any]) -> dict[str, Any]:
    """Return plain values of options by their name in a model, without those that are None.

    Args:
        given: the keyword arguments.
        arguments: the `TypedDict` of the valid ones.

    Raises:
        UsageError: an unknown name, or an invalid duration.
    """
    valid = get_type_hints(arguments)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in valid:
            raise UsageError(suggest_name("option", name, valid))
        if value is None:
            continue
        if name in _DURATIONS and isinstance(value, str):
            value = parse_duration(value)
        elif name in _LISTS:
            items = [value] if isinstance(value, str | os.PathLike) else value
            value = [os.fspath(item) for item in items]
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        values["restrict" if name == "set" else name] = value
    fix = dict(values.get("fix", {}))
    if precision := values.pop("precision", None):
        fix["execution.precision"] = precision
    if values.pop("skip_broken", False):
        fix["data.skip_broken"] = True
    return values | ({"fix": fix} if fix else {})


def with_arguments(
    arguments: type[Any], model: type[ConfigModel] | None = None
) -> Callable[[Function], Function]:
    """Give a function that takes `**options` the signature of its arguments at run time.

    Notebooks complete and show it, with the defaults of the model.

    Args:
        arguments: the `TypedDict` of the options.
        model: has their defaults; None: None, which means unchanged.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        fields = {} if model is None else model.model_fields
        for name, kind in get_type_hints(arguments).items():
            field = fields.get({"set": "restrict"}.get(name, name))
            default = None if field is None else field.get_default(call_default_factory=True)
            own.append(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
                )
            )
        function.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        return function

    return decorate
