"""What `compare` trains, and where: one network, solved and differentiated in several ways."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from search_spaces.recipes import recipe
from tune_ode.config.base import ConfigModel
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.config.fields import FieldValue
from tune_ode.config.model import stem_sizes
from tune_ode.data import absolute_dataset, chance_accuracy, data_folder, load, split
from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.paths import RunPath, address, persistent_path, shell_quoted
from tune_ode.records import COMPARE, MANIFEST, read_manifest
from tune_ode.replication.cases import CLASSIC, CLASSIC_CASES, fixed_in, settings_of
from tune_ode.replication.plan import Candidate, TrainingPlan
from tune_ode.runs.folder import already_exists_error
from tune_ode.runs.open import check_writable, is_taken

_DECIDED_BY = {
    "solver.method": "--cases",
    "solver.gradient": "--cases",
    "model.architecture": "--cases",
    "seed": "--seeds",
    "training.epochs": "--epochs",
    "data.dataset": "--dataset",
    "data.train_images": "--train-images",
}
"""Setting → the option that gives it here."""


class CompareOptions(ConfigModel):
    """The options of `compare`; they go into run.json and come back on a resume."""

    command: Literal["compare"] = "compare"
    dataset: str = "mnist"
    data_dir: str | None = None
    train_images: int | None = None
    cases: list[str] = Field(default_factory=lambda: [CLASSIC])
    """METHOD:GRADIENT, `resnet`, or `classic` for the four of `CLASSIC_CASES`; each may be several,
    separated by commas."""
    seeds: Annotated[int, Field(ge=1)] = 1
    epochs: Annotated[int, Field(ge=1)] = 5
    fix: dict[str, FieldValue] = Field(default_factory=dict)
    """Settings by dotted path, of every case that has them."""
    name: str | None = None
    output: str = "runs"

    def resolved(self) -> Self:
        """Return the question with every case named once, absolute paths and a name.

        The name is made of what all cases share, so that the same question finds its run again.
        """
        given = [case.strip() for several in self.cases for case in several.split(",")]
        named = [one for case in given for one in (CLASSIC_CASES if case == CLASSIC else [case])]
        output = persistent_path(self.output)
        question = self.model_copy(
            update={
                "dataset": absolute_dataset(self.dataset),
                "data_dir": str(data_folder(Path(self.data_dir) if self.data_dir else None)),
                "cases": list(dict.fromkeys(named)),
                "output": address(output.absolute() if isinstance(output, Path) else output),
            }
        )
        if question.name is None:
            data = question.dataset.removeprefix(FOLDER_PREFIX).rpartition("/")[2]
            content = json.dumps(question.shared(), sort_keys=True)
            digest = hashlib.sha256(content.encode()).hexdigest()[:8]
            plain = re.sub(r"[^A-Za-z0-9_.-]", "-", data).lstrip(".-")
            name = f"{plain}-{COMPARE}-{digest}".lstrip("-")
            question = question.model_copy(update={"name": name})
        return question

    def shared(self) -> dict[str, Any]:
        """Return what all trainings of one comparison have in common; it may get more of them."""
        return self.model_dump(mode="json", include={"dataset", "train_images", "epochs", "fix"})


@dataclass(frozen=True, kw_only=True)
class ComparePlan(TrainingPlan):
    """Which cases are trained, with which seeds, on what."""

    evaluate_test: ClassVar[bool] = True
    options: CompareOptions
    folder: RunPath
    chance: float
    train_images: int
    validation_images: int
    test_images: int

    @property
    def resume_command(self) -> str:
        """The command that continues it."""
        return f"tune-ode resume {shell_quoted(self.folder)}"


def plan_comparison(
    question: CompareOptions, *, progress: Callable[[str, float], None] | None = None
) -> ComparePlan:
    """Check a comparison as a whole; load its data, which builds the node's cache.

    Args:
        question: the options.
        progress: told what is being prepared, and the share done in [0, 1].

    Raises:
        QuestionError: the first thing that is wrong, in one line with the remedy.
    """
    question = question.resolved()
    candidates = _candidates(question)
    resources = plan_resources(
        local_machine(), cpus_per_trial=len(os.sched_getaffinity(0)), max_concurrent=1
    )
    folder = _folder(question)
    data = candidates[0].config.data
    images = load(data, Path(question.data_dir) if question.data_dir else None, progress=progress)
    stem_sizes(candidates[0].config.model.stem, images.shape[1])
    parts = split(images.train_labels, data)
    return ComparePlan(
        options=question,
        folder=folder,
        candidates=candidates,
        seeds=tuple(range(question.seeds)),
        resources=resources,
        data_dir=question.data_dir,
        chance=chance_accuracy(images.train_labels[parts.validation]),
        train_images=len(parts.train),
        validation_images=len(parts.validation),
        test_images=len(images.test_labels),
    )


def comparison_in(run: str) -> CompareOptions | None:
    """Return what the comparison in a run's folder, or at its URL, asks; None where it is none.

    Raises:
        RunFolderError: the place cannot be read.
    """
    folder = persistent_path(run)
    if (asked := _asked(folder)).get("command") != COMPARE:
        return None
    # where it is now: it may have been moved
    here = {"name": folder.name, "output": address(folder.parent)}
    return CompareOptions.from_dict(asked | here)


def _asked(folder: RunPath) -> dict[str, Any]:
    return read_manifest(folder).options if (folder / MANIFEST).exists() else {}


def _candidates(question: CompareOptions) -> tuple[Candidate, ...]:
    for path, option in _DECIDED_BY.items():
        if path in question.fix:
            raise UsageError(f"--fix {path} has no place in a comparison; use {option}")
    base = recipe("classic")
    found: list[Candidate] = []
    used: set[str] = set()
    for case in question.cases:
        params = settings_of(case)
        fix = fixed_in(question.fix, base, params)
        used |= fix.keys()
        shared = {
            "data.dataset": question.dataset,
            "data.train_images": question.train_images,
            "training.epochs": question.epochs,
        }
        config = base.with_values(fix | shared | params)
        found.append(Candidate(confirms=case, config=config, params=params))
    for path in question.fix.keys() - used:
        raise UsageError(f"--fix {path}: none of the cases {_listed(question.cases)} has it")
    return tuple(found)


def _folder(question: CompareOptions) -> RunPath:
    assert question.name is not None
    if not re.fullmatch(r"\w[\w.-]*", question.name):
        raise UsageError(
            f"--name must be letters, digits, '_', '-' and '.', found '{question.name}'"
        )
    folder = persistent_path(question.output) / question.name
    if not is_taken(folder):
        check_writable(folder)
        return folder
    before = _asked(folder)
    if before.get("command") != COMPARE:
        raise already_exists_error(folder)
    now = question.shared()
    different = [name for name in now if before.get(name) != now[name]]
    if different:
        raise UsageError(
            f"{folder} holds a comparison with another {_listed(different)}; choose another --name"
        )
    return folder


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
