"""What a user asks of a search, and what its options mean wherever it runs."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from search_spaces import Space, fix, path_of, resolve_space, restrict
from search_spaces.resolve import YAML_SUFFIXES, space_label
from tune_ode.config import TrialConfig
from tune_ode.config.base import ConfigModel
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.config.fields import FieldValue, config_fields, tag_of
from tune_ode.config.trial import TAGS, dotted_paths
from tune_ode.data import absolute_dataset, data_folder
from tune_ode.errors import UsageError
from tune_ode.paths import RunPath as Location
from tune_ode.paths import address as address_of
from tune_ode.paths import persistent_path
from tune_ode.tuning.ray_backend.log_targets import parse_log_targets
from tune_ode.tuning.search.asha import SchedulerName
from tune_ode.tuning.study.objective import ObjectiveName
from tune_ode.tuning.study.samplers import sampler_factory
from tune_ode.tuning.study.storage import without_password
from tune_ode.tuning.study.warm_start import find_run

DEFAULT_BUDGET_SECONDS = 240.0
"""Of a search that is given no end: a first answer in minutes, and most of them spent training."""
SMALLEST_TRIAL_SECONDS = 1.0


class SearchOptions(ConfigModel):
    """The options of `search` or `train`; they go into run.json and come back on a resume."""

    command: Literal["search", "train"] = "search"
    """`train` is a search of one trial with nothing left to search, run in this process."""
    dataset: str = "digits"
    data_dir: str | None = None
    """Where data sets lie or are downloaded to; None: TUNE_ODE_DATA, else a per-user folder."""
    train_images: int | None = None
    space: str = "quick"
    """A ready-made space, a YAML file, or package.module:NAME."""
    restrict: dict[str, str] = Field(default_factory=dict)
    """Parameter, or setting's path for all its branches → the range it is to have instead."""
    start_from: list[str] = Field(default_factory=list)
    """Recipes, YAML files and runs whose configurations are tried first."""
    fix: dict[str, FieldValue] = Field(default_factory=dict)
    """Settings by dotted path that every trial has, and that are not searched."""
    trials: Annotated[int, Field(ge=1)] | None = None
    time_budget: Annotated[float, Field(gt=0)] | None = None
    """Wall-clock seconds."""
    trial_seconds: Annotated[float, Field(ge=SMALLEST_TRIAL_SECONDS)] | None = None
    """`train_seconds` of one trial."""
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    """GPUs × wall-clock hours, over all trials and resumes."""
    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    """Validation accuracy that ends the search."""
    trial_timeout: Annotated[float, Field(gt=0)] | None = None
    """A trial without a report for so many seconds has failed."""
    objective: ObjectiveName = "anytime"
    sampler: str = "tpe"
    """A name of `samplers.SAMPLERS`, or `package.module:factory`."""
    scheduler: SchedulerName = "seconds"
    storage: str | None = None
    """URL of the database that keeps the study; None: a journal in the run folder."""
    log_to: list[str] = Field(default_factory=list)
    """Where else what is measured goes: `tensorboard`, `mlflow[:URI]`, `wandb[:PROJECT]`."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    name: str | None = None
    output: str = "runs"
    """Folder, or URL in an object store, that the run folder is made in."""
    cpus_per_trial: int | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
    """A share of one GPU; `auto`: what a trial at the space's largest batch and width needs."""
    max_concurrent: int | None = None
    address: str | None = None
    """Of a running Ray cluster, `HOST:PORT` or `auto`; None, or `local`: a Ray of this machine."""
    calibrate: bool = True
    """Time a step alone and beside others first, where trials share a device."""

    def resolved(self) -> Self:
        """Return the question with the defaults that depend on one another, and absolute paths.

        A run is resumed from another folder, and its trials run in processes elsewhere. Of a
        database's URL the password is left out.
        """
        changes: dict[str, object] = {}
        if self.command == "train":
            changes |= {"trials": 1, "scheduler": "none"}
        elif self.trials is None and self.time_budget is None and self.gpu_hours is None:
            changes |= {"time_budget": DEFAULT_BUDGET_SECONDS}
        changes["dataset"] = absolute_dataset(self.dataset)
        # also where a variable names it: a resume may come from a shell that lacks it
        changes["data_dir"] = str(data_folder(Path(self.data_dir) if self.data_dir else None))
        changes["start_from"] = [
            address_of(_absolute(run)) if (run := find_run(name)) else name
            for name in self.start_from
        ]
        if self.storage is not None:
            changes["storage"] = without_password(self.storage)
        changes["log_to"] = [str(place) for place in parse_log_targets(self.log_to)]
        if self.address == "local":
            changes["address"] = None
        changes["output"] = address_of(_absolute(persistent_path(self.output)))
        return self.model_copy(update=changes)


def _absolute(location: Location) -> Location:
    return location.expanduser().absolute() if isinstance(location, Path) else location


def searched_space(question: SearchOptions) -> Space:
    """Return what is searched: the space that it names, narrowed, without what is fixed."""
    if question.command == "train":
        return Space({})
    space = restrict(resolve_space(question.space), question.restrict)
    # checked before the space is, since a wrong value is wrong whatever is searched
    fixed = {path: value for path, value in question.fix.items() if path in config_fields()}
    return fix(space, fixed)


def base_config(question: SearchOptions, space: Space) -> TrialConfig:
    """Return what proposals are set on: the default with the data, and with what is fixed."""
    kinds = {tag: question.fix[tag] for tag in TAGS if tag in question.fix}
    here = dotted_paths(TrialConfig().with_values(kinds).to_dict())
    searched = {path_of(name) for name in space.names}
    return TrialConfig().with_values(
        {
            "data.dataset": question.dataset,
            "data.train_images": question.train_images,
            "data.split_seed": question.seed,
            # room for the seeds of a run's trials, which count up from here
            "seed": question.seed * 1_000_000,
            # a setting that only some options of a searched choice have stands in the space, there
            **{
                path: value
                for path, value in question.fix.items()
                if path in here or path not in config_fields() or tag_of(path) not in searched
            },
        }
    )


def run_name(question: SearchOptions) -> str:
    """Return the name that a new run is to have: the one asked for, or data, space and time.

    Raises:
        QuestionError: the name asked for cannot be one.
    """
    if question.name is not None:
        if not re.fullmatch(r"[\w.-]+", question.name) or question.name.startswith("."):
            raise UsageError(
                f"--name must be letters, digits, '_', '-' and '.', found '{question.name}'"
            )
        return question.name
    what = space_label(question.space) if question.command == "search" else question.command
    data = question.dataset.removeprefix(FOLDER_PREFIX).rstrip("/").rpartition("/")[2]
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{data}-{what}")
    return stem + time.strftime("-%Y%m%d-%H%M%S")


def check_options(question: SearchOptions) -> None:
    """Check what can be checked away from the machine that searches, and without its data.

    The names of files and modules are not: they are found where the search runs.

    Raises:
        QuestionError: the first thing that is wrong, in one line with the remedy.
    """
    run_name(question)
    if ":" not in question.sampler:
        sampler_factory(question.sampler)
    if ":" not in question.space and Path(question.space).suffix not in YAML_SUFFIXES:
        base_config(question, searched_space(question))
