"""What a user asks of a search, and the plan it becomes: all is checked before anything starts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from search_spaces import Space, preset
from tune_ode.config import TrialConfig
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.config.model import stem_sizes
from tune_ode.config.part import Part
from tune_ode.data import absolute_dataset, chance_accuracy, data_folder, load, split
from tune_ode.errors import QuestionError, RunFolderError
from tune_ode.tuning.resources import Resources, plan_resources
from tune_ode.tuning.run_folder import check_writable
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
    base: TrialConfig
    limits: Limits
    resources: Resources
    run_folder: Path
    shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    images: int
    """Training images, validation split included."""
    validation_images: int
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
    run_folder: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Plan:
    """Check a question as a whole; load its data, which builds the node's cache.

    Args:
        question: the options.
        base: the configuration that proposals are set on; None: the default, with the question's
            data, fixed values and seed.
        run_folder: an existing run's folder; None: a new one, from the question's name and output.
        progress: told what is being prepared, and the share done in [0, 1].

    Raises:
        QuestionError: the first thing that is wrong, in one line with the remedy.
    """
    question = question.resolved()
    space = Space({}) if question.command == "train" else preset(question.space)
    resources = plan_resources(
        cpus_per_trial=question.cpus_per_trial,
        gpus_per_trial=question.gpus_per_trial,
        max_concurrent=question.max_concurrent,
    )
    if run_folder is None:
        run_folder = _new_run_folder(question)
        check_writable(run_folder)
    if base is None:
        base = _base(question)
    data_dir = Path(question.data_dir) if question.data_dir else None
    images = load(base.data, data_dir, progress=progress)
    parts = split(images.train_labels, base.data)
    stem_sizes(base.model.stem, images.shape[1])
    return Plan(
        question=question,
        space=space.fixed(question.fix),
        base=base,
        limits=_limits(question, resources),
        resources=resources,
        run_folder=run_folder,
        shape=images.shape,
        classes=images.classes,
        images=len(parts.train) + len(parts.validation),
        validation_images=len(parts.validation),
        chance=chance_accuracy(images.train_labels[parts.validation]),
    )


def _base(question: Question) -> TrialConfig:
    return TrialConfig().with_values(
        {
            "data.dataset": question.dataset,
            "data.train_images": question.train_images,
            "data.split_seed": question.seed,
            # room for the seeds of a run's trials, which count up from here
            "seed": question.seed * 1_000_000,
            **question.fix,
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
    what = question.space if question.command == "search" else question.command
    data = question.dataset.removeprefix(FOLDER_PREFIX).rstrip("/").rpartition("/")[2]
    stem = f"{re.sub(r'[^A-Za-z0-9_.-]', '-', data)}-{what}"
    stem += time.strftime("-%Y%m%d-%H%M%S")
    folder, count = output / stem, 1
    while folder.exists():
        count += 1
        folder = output / f"{stem}-{count}"
    return folder
