"""The options of a search and their defaults."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from analysis.curves import INSTANTS_PER_DECADE
from search_spaces import Space, fix, path_of, resolve_space, restrict
from search_spaces.resolve import YAML_SUFFIXES, space_label
from tune_ode.catalog.find import checked_name
from tune_ode.config import TrialConfig
from tune_ode.config.base import ConfigModel
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.config.fields import FieldValue, config_fields, tag_of
from tune_ode.config.trial import TAGS, dotted_paths
from tune_ode.data import absolute_dataset, requested_data_folder
from tune_ode.errors import UsageError
from tune_ode.paths import RunPath, address, expand_home, persistent_path
from tune_ode.tuning.log_to.targets import parse_log_targets
from tune_ode.tuning.search.asha import SchedulerName
from tune_ode.tuning.study.coverage import grid_problem
from tune_ode.tuning.study.objective import ObjectiveName
from tune_ode.tuning.study.samplers import GRID, sampler_factory
from tune_ode.tuning.study.storage import without_password
from tune_ode.tuning.study.warm_start import find_run

MIN_TRIAL_SECONDS = 1.0


class SearchOptions(ConfigModel):
    """The options of `search` or `train`; they are written to run.json and read by a resume.

    An option that was left to its default stays None, so that a resume, perhaps on another machine,
    derives it again.
    """

    command: Literal["search", "train"] = "search"
    """`train` is a search of one trial without searched parameters, run in this process."""
    dataset: str = "digits"
    data_dir: str | None = None
    """Where data sets are read or downloaded to; None: a per-user directory."""
    train_images: int | None = None
    validation: float | None = None
    """`DataConfig.validation_fraction`."""
    groups: str | None = None
    """`DataConfig.groups`."""
    space: str = "quick"
    """A predefined space, a YAML file, or `package.module:NAME`."""
    restrict: dict[str, str] = Field(default_factory=dict)
    """Parameter, or dotted path of a field for all its branches → another range."""
    start_from: list[str] = Field(default_factory=list)
    """Recipes, YAML files and runs whose configurations are tried first."""
    fix: dict[str, FieldValue] = Field(default_factory=dict)
    """Values by dotted path that every trial has; these fields are not searched."""
    trials: Annotated[int, Field(ge=1)] | None = None
    time_budget: Annotated[float, Field(gt=0)] | None = None
    """Wall-clock seconds; None: four minutes, if nothing else limits the search."""
    trial_seconds: Annotated[float, Field(ge=MIN_TRIAL_SECONDS)] | None = None
    """`train_seconds` of each trial."""
    instants_per_decade: Annotated[int, Field(ge=2, le=32)] = INSTANTS_PER_DECADE
    """Reports of a trial per factor of ten in `train_seconds`."""
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    """GPUs × wall-clock hours, over all trials and resumes."""
    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    """Validation accuracy at which the search ends."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Finished trials without an improvement of the objective after which the search ends."""
    trial_timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds without a report after which a trial fails."""
    objective: ObjectiveName = "anytime"
    sampler: str = "tpe"
    """A key of `samplers.SAMPLERS`, or `package.module:factory`."""
    scheduler: SchedulerName = "seconds"
    storage: str | None = None
    """URL of a database for the study; None: a journal in the run directory."""
    log_to: list[str] = Field(default_factory=list)
    """Additional loggers: `tensorboard`, `mlflow[:URI]`, `wandb[:PROJECT]`."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    name: str | None = None
    output: str = "runs"
    """Parent of the run directory: a directory, or a URL in an object store."""
    cpus_per_trial: int | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
    """Share of one GPU; `auto`: what a trial with the space's largest batch and width needs."""
    max_concurrent: int | None = None
    address: str | None = None
    """`HOST:PORT` of a running Ray cluster, or `auto`; None or `local`: start Ray here."""
    calibrate: bool = True
    """Whether to measure contention after the last trial, if trials shared a device."""

    def resolved(self) -> Self:
        """Return the options with absolute paths and no database password.

        Paths are absolute since trials, and a resume, may run in another working directory.
        """
        changes: dict[str, object] = {}
        if self.command == "train":
            changes |= {"trials": 1, "scheduler": "none"}
        changes["dataset"] = absolute_dataset(self.dataset)
        # also if it is from a variable, which the shell of a resume may lack
        changes["data_dir"] = requested_data_folder(self.data_dir)
        changes["start_from"] = [
            _absolute(run) if (run := find_run(name)) else name for name in self.start_from
        ]
        if self.storage is not None:
            changes["storage"] = without_password(self.storage)
        changes["log_to"] = [str(target) for target in parse_log_targets(self.log_to)]
        if self.address == "local":
            changes["address"] = None
        changes["output"] = _absolute(persistent_path(self.output))
        return self.model_copy(update=changes)


def _absolute(path: RunPath) -> str:
    return address(expand_home(path).absolute() if isinstance(path, Path) else path)


def searched_space(options: SearchOptions) -> Space:
    """Return the space to search: as named, with `restrict` and `fix` applied."""
    if options.command == "train":
        return Space({})
    space = restrict(resolve_space(options.space), options.restrict)
    # unknown paths are reported by `base_config`
    fixed = {path: value for path, value in options.fix.items() if path in config_fields()}
    return fix(space, fixed)


def base_config(options: SearchOptions, space: Space) -> TrialConfig:
    """Return the configuration that proposed values are set on: the default with data and `fix`."""
    variants = {tag: options.fix[tag] for tag in TAGS if tag in options.fix}
    valid = dotted_paths(TrialConfig().with_values(variants).to_dict())
    searched = {path_of(name) for name in space.names}
    return TrialConfig().with_values(
        {
            "data.dataset": options.dataset,
            "data.train_images": options.train_images,
            "data.validation_fraction": options.validation,
            "data.groups": options.groups,
            "data.split_seed": options.seed,
            # the seeds of trials count up from here
            "seed": options.seed * 1_000_000,
            # a field of some variants only, with a searched variant, is fixed in the space
            **{
                path: value
                for path, value in options.fix.items()
                if path in valid or path not in config_fields() or tag_of(path) not in searched
            },
        }
    )


def check_sampler(options: SearchOptions, space: Space) -> None:
    """Check that the sampler can search the space.

    Raises:
        UsageError: a grid of a space that is not finite, or too large.
    """
    if options.sampler == GRID and (problem := grid_problem(space)) is not None:
        raise UsageError(
            f"--sampler grid {problem}; give fewer values with --set NAME=A|B|C, --set "
            "'NAME=LOW..HIGH,step S' or --fix, or choose another --sampler"
        )


def run_name(options: SearchOptions) -> str:
    """Return the name of a new run: the given one, or data, space and time.

    Raises:
        UsageError: the given name is not valid.
    """
    if options.name is not None:
        return checked_name(options.name)
    label = space_label(options.space) if options.command == "search" else options.command
    data = options.dataset.removeprefix(FOLDER_PREFIX).rstrip("/").rpartition("/")[2]
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{data}-{label}")
    return stem + time.strftime("-%Y%m%d-%H%M%S")


def check_options(options: SearchOptions) -> None:
    """Validate what does not depend on the data, files and modules of the machine that searches.

    Raises:
        UsageError: the first problem, in one line with the remedy.
    """
    run_name(options)
    if ":" not in options.sampler:
        sampler_factory(options.sampler)
    if ":" not in options.space and Path(options.space).suffix not in YAML_SUFFIXES:
        space = searched_space(options)
        base_config(options, space)
        check_sampler(options, space)
