"""What a user asks of a search, and the plan it becomes: all is checked before anything starts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from search_spaces import Space, find_space, path_of
from search_spaces.check import check
from search_spaces.finding import label
from search_spaces.fitting import fitted
from search_spaces.narrowing import narrowed_by_text
from tune_ode.config import TrialConfig
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.config.model import stem_sizes
from tune_ode.config.part import Part
from tune_ode.config.settings import settings, tag_of
from tune_ode.config.trial import TAGS, dotted_paths
from tune_ode.data import absolute_dataset, chance_accuracy, data_folder, load, split
from tune_ode.errors import QuestionError, RunFolderError
from tune_ode.tuning.resources import Resources, plan_resources
from tune_ode.tuning.run_folder import check_writable
from tune_ode.tuning.starting_points import starting_points
from tune_ode.tuning.terms import Limits, Workplace

SamplerName = Literal["tpe", "random"]
Setting = str | int | float | bool | list[float] | None
SchedulerName = Literal["seconds", "none"]

DEFAULT_TRIALS = 20
DEFAULT_BUDGET_SECONDS = 240.0
"""Both hold where neither --trials nor --time-budget is given: a first answer in minutes."""
DEFAULT_TRIAL_SECONDS = 60.0
"""Where the budget of a trial cannot be derived from trials and time budget."""
SMALLEST_TRIAL_SECONDS = 1.0


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
    sampler: SamplerName = "tpe"
    scheduler: SchedulerName = "seconds"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    name: str | None = None
    output: str = "runs"
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    max_concurrent: int | None = None

    def resolved(self) -> Self:
        """Return the question with the defaults that depend on one another, and absolute paths.

        A run is resumed from another folder, and its trials run in processes elsewhere.
        """
        changes: dict[str, object] = {}
        if self.command == "train":
            changes |= {"trials": 1, "scheduler": "none"}
        elif self.trials is None and self.time_budget is None:
            changes |= {"trials": DEFAULT_TRIALS, "time_budget": DEFAULT_BUDGET_SECONDS}
        changes["dataset"] = absolute_dataset(self.dataset)
        # also where a variable names it: a resume may come from a shell that lacks it
        changes["data_dir"] = str(data_folder(Path(self.data_dir) if self.data_dir else None))
        changes["output"] = str(Path(self.output).expanduser().absolute())
        return self.model_copy(update=changes)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A question whose every part was found valid."""

    question: Question
    space: Space
    notes: tuple[str, ...]
    """What the space lost since these images have no use for it."""
    base: TrialConfig
    starting_points: tuple[dict[str, Any], ...]
    """Points of the space to try first."""
    limits: Limits
    resources: Resources
    run_folder: Path
    shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    images: int
    """Training images, validation split included."""
    chance: float

    @property
    def workplace(self) -> Workplace:
        """Where its trials run."""
        return Workplace(
            data_dir=self.question.data_dir,
            device=self.resources.device,
            threads=self.resources.cpus_per_trial,
        )


def plan(
    question: Question,
    *,
    base: TrialConfig | None = None,
    space: Space | None = None,
    run_folder: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Plan:
    """Check a question as a whole; load its data, which builds the node's cache.

    Args:
        question: the options.
        base: the configuration that proposals are set on; None: the default, with the question's
            data, fixed values and seed.
        space: what was left to search when the run began; None: as the question says.
        run_folder: an existing run's folder; None: a new one, from the question's name and output.
        progress: told what is being prepared, and the share done in [0, 1].

    Raises:
        QuestionError: the first thing that is wrong, in one line with the remedy.
    """
    question = question.resolved()
    asked = space or _space(question)
    resources = plan_resources(
        cpus_per_trial=question.cpus_per_trial,
        gpus_per_trial=question.gpus_per_trial,
        max_concurrent=question.max_concurrent,
    )
    if run_folder is None:
        run_folder = _new_run_folder(question)
        check_writable(run_folder)
    if base is None:
        base = _base(question, asked)
    starts = _starts(question) if space is None else []
    data_dir = Path(question.data_dir) if question.data_dir else None
    images = load(base.data, data_dir, progress=progress)
    parts = split(images.train_labels, base.data)
    stem_sizes(base.model.stem, images.shape[1])
    notes: list[str] = []
    if space is None:
        space, notes = fitted(asked, base, channels=images.shape[0], size=images.shape[1])
        check(space, base, images.shape[1])
    return Plan(
        question=question,
        space=space,
        notes=tuple(notes),
        base=base,
        starting_points=tuple(space.point(start) for start in starts),
        limits=_limits(question, resources),
        resources=resources,
        run_folder=run_folder,
        shape=images.shape,
        classes=images.classes,
        images=len(parts.train) + len(parts.validation),
        chance=chance_accuracy(images.train_labels[parts.validation]),
    )


def _space(question: Question) -> Space:
    if question.command == "train":
        return Space({})
    space = narrowed_by_text(find_space(question.space), question.narrow)
    # checked before the space is, since a wrong value is wrong whatever is searched
    fix = {path: value for path, value in question.fix.items() if path in settings()}
    return space.fixed(fix)


def _starts(question: Question) -> list[TrialConfig]:
    return [
        TrialConfig.from_dict(values)
        for name in question.start_from
        for values in starting_points(name)
    ]


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
    trial_seconds = question.trial_seconds
    if trial_seconds is None and question.trials and question.time_budget:
        # what each trial could use if all ran to their end in the time there is
        slots = min(resources.max_concurrent, question.trials)
        trial_seconds = max(question.time_budget * slots / question.trials, SMALLEST_TRIAL_SECONDS)
    if trial_seconds is None and question.command == "search":
        trial_seconds = DEFAULT_TRIAL_SECONDS
    return Limits(trials=question.trials, seconds=question.time_budget, trial_seconds=trial_seconds)


def _new_run_folder(question: Question) -> Path:
    output = Path(question.output)
    if question.name is not None:
        if not re.fullmatch(r"[\w.-]+", question.name) or question.name.startswith("."):
            raise QuestionError(
                f"--name must be letters, digits, '_', '-' and '.', found '{question.name}'"
            )
        folder = output / question.name
        if folder.exists():
            raise RunFolderError(
                f"{folder} exists already; choose another --name, or continue it with: "
                f"tune-ode resume {folder}"
            )
        return folder
    what = label(question.space) if question.command == "search" else question.command
    data = question.dataset.removeprefix(FOLDER_PREFIX).rstrip("/").rpartition("/")[2]
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{data}-{what}")
    stem += time.strftime("-%Y%m%d-%H%M%S")
    folder, count = output / stem, 1
    while folder.exists():
        count += 1
        folder = output / f"{stem}-{count}"
    return folder
