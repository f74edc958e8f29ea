"""What a user asks of a search, and the plan it becomes: all is checked before anything starts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from analysis.place import Place as Location
from analysis.place import address as address_of
from analysis.place import lasting_place
from search_spaces import Space, find_space, path_of
from search_spaces.check import check
from search_spaces.finding import YAML_SUFFIXES, label
from search_spaces.fitting import fitted
from search_spaces.narrowing import narrowed_by_text
from tune_ode.config import TrialConfig
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.config.model import stem_sizes
from tune_ode.config.part import Part
from tune_ode.config.settings import settings, tag_of
from tune_ode.config.trial import TAGS, dotted_paths
from tune_ode.data import absolute_dataset, chance_accuracy, data_folder, load, split
from tune_ode.errors import QuestionError
from tune_ode.records import RunManifest
from tune_ode.tuning.log_to import Destination, check_destinations, parse_destinations
from tune_ode.tuning.objective import OBJECTIVES, Objective, ObjectiveName
from tune_ode.tuning.packing import LARGE, largest, share_of_gpu
from tune_ode.tuning.resources import Place, Resources, plan_resources, this_machine
from tune_ode.tuning.run_folder import taken
from tune_ode.tuning.run_store import check_place, is_taken
from tune_ode.tuning.rungs import SchedulerName
from tune_ode.tuning.samplers import sampler_factory
from tune_ode.tuning.starting_points import starting_point
from tune_ode.tuning.storage import check_storage, study_hash, without_password
from tune_ode.tuning.terms import Limits, Workplace
from tune_ode.tuning.transfer import earlier_run, points_from_run

Setting = str | int | float | bool | list[float] | None

DEFAULT_TRIALS = 20
DEFAULT_BUDGET_SECONDS = 240.0
"""Both hold where neither --trials nor --time-budget is given: a first answer in minutes."""
DEFAULT_TRIAL_SECONDS = 60.0
"""Where the budget of a trial cannot be derived from trials and time budget."""
SMALLEST_TRIAL_SECONDS = 1.0
PATIENCE_SECONDS = 600.0
"""Beyond twice a trial's budget: a compilation, a validation, a machine that is shared."""


class Question(Part):
    """The options of `search` or `train`; they go into run.json and come back on a resume."""

    command: Literal["search", "train"] = "search"
    """`train` is a search of one trial with nothing left to search, run in this process."""
    dataset: str = "digits"
    data_dir: str | None = None
    """Where data sets lie or are downloaded to; None: TUNE_ODE_DATA, else a per-user folder."""
    train_images: int | None = None
    space: str = "quick"
    """A ready-made space, a YAML file, or package.module:NAME."""
    narrow: dict[str, str] = Field(default_factory=dict)
    """Parameter, or setting's path for all its branches → the range it is to have instead."""
    start_from: list[str] = Field(default_factory=list)
    """Recipes, YAML files and runs whose configurations are tried first."""
    fix: dict[str, Setting] = Field(default_factory=dict)
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
            changes |= {"trials": DEFAULT_TRIALS, "time_budget": DEFAULT_BUDGET_SECONDS}
        changes["dataset"] = absolute_dataset(self.dataset)
        # also where a variable names it: a resume may come from a shell that lacks it
        changes["data_dir"] = str(data_folder(Path(self.data_dir) if self.data_dir else None))
        changes["start_from"] = [
            address_of(_absolute(run)) if (run := earlier_run(name)) else name
            for name in self.start_from
        ]
        if self.storage is not None:
            changes["storage"] = without_password(self.storage)
        changes["log_to"] = [str(place) for place in parse_destinations(self.log_to)]
        if self.address == "local":
            changes["address"] = None
        changes["output"] = address_of(_absolute(lasting_place(self.output)))
        return self.model_copy(update=changes)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A question whose every part was found valid."""

    question: Question
    space: Space
    notes: tuple[str, ...]
    """What the space lost since these images have no use for it."""
    base: TrialConfig
    limits: Limits
    resources: Resources
    run_folder: Location
    shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    images: int
    """Training images, validation split included."""
    validation_images: int
    chance: float
    study: str
    """Name of the study."""
    storage_url: str | None = field(repr=False)
    """Of the study's database, with the password where one was given."""
    start_points: list[dict[str, Any]]
    """Points to be tried first."""

    @property
    def objective(self) -> Objective:
        """What it optimizes."""
        return OBJECTIVES[self.question.objective]

    @property
    def destinations(self) -> list[Destination]:
        """Where else what is measured goes."""
        return parse_destinations(self.question.log_to)

    @property
    def workplace(self) -> Workplace:
        """Where its trials run."""
        return Workplace(
            data_dir=self.question.data_dir,
            device=self.resources.device,
            threads=self.resources.cpus_per_trial,
            gpus=self.resources.gpus_per_trial,
            memory_bytes=self.resources.memory_per_trial,
        )


def plan(
    question: Question,
    *,
    base: TrialConfig | None = None,
    manifest: RunManifest | None = None,
    run_folder: Location | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Plan:
    """Check a question as a whole; load its data, which builds the node's cache.

    Args:
        question: the options.
        base: the configuration that proposals are set on; None: the default, with the question's
            data, fixed values and seed.
        manifest: of an existing run: what it searches stands there, and not where that once came
            from, which may have changed or gone.
        run_folder: its folder; None: a new one, from the question's name and output.
        progress: told what is being prepared, and the share done in [0, 1].

    Raises:
        QuestionError: the first thing that is wrong, in one line with the remedy.
    """
    storage_url = question.storage
    question = question.resolved()
    sampler_factory(question.sampler)
    asked = _space(question) if manifest is None else Space.from_dict(manifest.space)
    resources = plan_resources(
        _place(question),
        cpus_per_trial=question.cpus_per_trial,
        gpus_per_trial=None if question.gpus_per_trial == "auto" else question.gpus_per_trial,
        max_concurrent=None if question.gpus_per_trial == "auto" else question.max_concurrent,
    )
    if run_folder is None:
        run_folder = _new_run_folder(question)
        check_destinations(parse_destinations(question.log_to), run_folder)
        check_place(run_folder)
    if base is None:
        base = _base(question, asked)
    starts = _starts(question) if manifest is None else []
    data_dir = Path(question.data_dir) if question.data_dir else None
    images = load(base.data, data_dir, progress=progress)
    parts = split(images.train_labels, base.data)
    stem_sizes(base.model.stem, images.shape[1])
    notes: list[str] = []
    if manifest is None:
        space, notes = fitted(asked, base, channels=images.shape[0], size=images.shape[1])
        check(space, base, images.shape[1])
        study_of = study_hash(space.to_dict(), base.to_dict(), question.objective)
        study = f"{run_folder.name}-{study_of}"
        start_points = [
            point
            for start in starts
            for point in (
                [space.point(start)]
                if isinstance(start, TrialConfig)
                else points_from_run(start, space)
            )
        ]
    else:
        space, study, start_points = asked, manifest.study, manifest.start_points
    if question.gpus_per_trial == "auto":
        question, resources, note = _packed(question, resources, largest(space, base))
        notes.append(note)
    if storage_url is not None:
        check_storage(storage_url, study if manifest is None else None)
    if resources.place.cluster:
        from tune_ode.tuning.ray_cluster import probe

        where: Location = run_folder.parent
        if isinstance(run_folder, Path):
            where = next(parent for parent in run_folder.parents if parent.exists())
        probe(resources, address_of(where), base.data, question.data_dir)
    return Plan(
        question=question,
        space=space,
        notes=tuple(notes),
        base=base,
        limits=_limits(question, resources),
        resources=resources,
        run_folder=run_folder,
        shape=images.shape,
        classes=images.classes,
        images=len(parts.train) + len(parts.validation),
        validation_images=len(parts.validation),
        chance=chance_accuracy(images.train_labels[parts.validation]),
        study=study,
        storage_url=storage_url,
        start_points=start_points,
    )


def _absolute(location: Location) -> Location:
    return location.expanduser().absolute() if isinstance(location, Path) else location


def _place(question: Question) -> Place:
    if question.address is None:
        return this_machine()
    # ray takes seconds to import
    from tune_ode.tuning.ray_cluster import join

    return join(question.address)


def _packed(
    question: Question, whole: Resources, config: TrialConfig
) -> tuple[Question, Resources, str]:
    """Measure what share of a GPU a large trial needs; return the question with that share."""
    if whole.device == "cpu":
        raise QuestionError(
            f"--gpus-per-trial auto needs a GPU, but {whole.place.inventory}; leave the option out "
            "to train on CPU cores"
        )
    if whole.place.cluster:
        from tune_ode.tuning.ray_cluster import on_a_gpu as measure
    else:
        from tune_ode.tuning.packing import in_a_process as measure
    peak = measure(config, Path(question.data_dir) if question.data_dir else None)
    cores = max(
        node.cpus // max(node.gpus, 1) // whole.cpus_per_trial
        for node in whole.place.nodes + whole.place.possible
        if node.gpus
    )
    share = share_of_gpu(peak, max(cores, 1))
    question = question.model_copy(update={"gpus_per_trial": share})
    resources = plan_resources(
        whole.place,
        cpus_per_trial=question.cpus_per_trial,
        gpus_per_trial=share,
        max_concurrent=question.max_concurrent,
    )
    settings = dotted_paths(config.to_dict())
    large = ", ".join(f"{path} {settings[path]}" for path in LARGE)
    return question, resources, (
        f"a trial with {large} takes {peak.used / 2**30:.2g} of a GPU's "
        f"{peak.total / 2**30:.3g} GiB; {round(1 / share)} share one"
    )  # fmt: skip


def _space(question: Question) -> Space:
    if question.command == "train":
        return Space({})
    space = narrowed_by_text(find_space(question.space), question.narrow)
    # checked before the space is, since a wrong value is wrong whatever is searched
    fix = {path: value for path, value in question.fix.items() if path in settings()}
    return space.fixed(fix)


def _starts(question: Question) -> list[TrialConfig | Location]:
    """Return configurations, and places of runs; each name is checked before data are loaded."""
    return [earlier_run(name) or starting_point(name) for name in question.start_from]


def _base(question: Question, space: Space) -> TrialConfig:
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
                if path in here or path not in settings() or tag_of(path) not in searched
            },
        }
    )


def _limits(question: Question, resources: Resources) -> Limits:
    searching = question.command == "search"
    gpu_seconds = question.gpu_hours and question.gpu_hours * 3600
    if gpu_seconds is not None and resources.gpus_per_trial == 0:
        raise QuestionError(
            "--gpu-hours needs trials that use a GPU, but theirs is "
            f"{resources.share}; set --time-budget instead"
        )
    trial_seconds = question.trial_seconds
    if trial_seconds is None and searching:
        # what each trial could use if all ran to their end in what there is
        slots = min(resources.max_concurrent, question.trials or resources.max_concurrent)
        budgets = [] if question.time_budget is None else [question.time_budget * slots]
        budgets += [] if gpu_seconds is None else [gpu_seconds / resources.gpus_per_trial]
        if question.trials and budgets:
            trial_seconds = max(min(budgets) / question.trials, SMALLEST_TRIAL_SECONDS)
        else:
            trial_seconds = DEFAULT_TRIAL_SECONDS
    silence = question.trial_timeout
    if silence is None and searching and trial_seconds is not None:
        silence = 2 * trial_seconds + PATIENCE_SECONDS
    return Limits(
        trials=question.trials,
        seconds=question.time_budget,
        trial_seconds=trial_seconds,
        gpu_seconds=gpu_seconds,
        target_accuracy=question.target_accuracy,
        silence_seconds=silence,
    )


def run_name(question: Question) -> str:
    """Return the name that a new run is to have: the one asked for, or data, space and time.

    Raises:
        QuestionError: the name asked for cannot be one.
    """
    if question.name is not None:
        if not re.fullmatch(r"[\w.-]+", question.name) or question.name.startswith("."):
            raise QuestionError(
                f"--name must be letters, digits, '_', '-' and '.', found '{question.name}'"
            )
        return question.name
    what = label(question.space) if question.command == "search" else question.command
    data = question.dataset.removeprefix(FOLDER_PREFIX).rstrip("/").rpartition("/")[2]
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{data}-{what}")
    return stem + time.strftime("-%Y%m%d-%H%M%S")


def _new_run_folder(question: Question) -> Location:
    output, name = lasting_place(question.output), run_name(question)
    folder = output / name
    if question.name is not None:
        if is_taken(folder):
            raise taken(folder)
        return folder
    count = 1
    while is_taken(folder):
        count += 1
        folder = output / f"{name}-{count}"
    return folder


def check_options(question: Question) -> None:
    """Check what can be checked away from the machine that searches, and without its data.

    The names of files and modules are not: they are found where the search runs.

    Raises:
        QuestionError: the first thing that is wrong, in one line with the remedy.
    """
    run_name(question)
    if ":" not in question.sampler:
        sampler_factory(question.sampler)
    if ":" not in question.space and Path(question.space).suffix not in YAML_SUFFIXES:
        _base(question, _space(question))
