"""Plan of `compare`: one network, trained with several solvers and gradients."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from search_spaces.recipes import recipe
from tune_ode.catalog.find import checked_name
from tune_ode.config.base import ConfigModel
from tune_ode.config.data import FOLDER_PREFIX, moved_dataset
from tune_ode.config.fields import FieldValue
from tune_ode.config.model import stem_sizes
from tune_ode.data import (
    absolute_dataset,
    chance_accuracy,
    data_folder,
    fingerprint,
    load,
    overlaps,
    requested_data_folder,
    require_unchanged,
    split,
)
from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.paths import RunPath, address, persistent_path
from tune_ode.records import COMPARE, MANIFEST, RunManifest, read_manifest
from tune_ode.replication.cases import CLASSIC, CLASSIC_CASES, applicable_fields, case_fields
from tune_ode.replication.plan import Candidate, TrainingPlan
from tune_ode.runs.location import already_exists_error
from tune_ode.runs.open import check_writable, run_exists
from tune_ode.runs.provenance import new_manifest
from tune_ode.runs.relocation import changed_options

_OPTION_OF = {
    "solver.method": "--cases",
    "solver.gradient": "--cases",
    "model.architecture": "--cases",
    "seed": "--seeds",
    "training.epochs": "--epochs",
    "data.dataset": "--dataset",
    "data.train_images": "--train-images",
}
"""Field → the option of `compare` that sets it."""


class CompareOptions(ConfigModel):
    """Options of `compare`, stored in run.json for a resume."""

    command: Literal["compare"] = "compare"
    dataset: str = "mnist"
    data_dir: str | None = None
    train_images: int | None = None
    cases: list[str] = Field(default_factory=lambda: [CLASSIC])
    """METHOD:GRADIENT, `resnet`, or `classic` for `CLASSIC_CASES`; an item may hold several,
    separated by commas."""
    seeds: Annotated[int, Field(ge=1)] = 1
    epochs: Annotated[int, Field(ge=1)] = 5
    fix: dict[str, FieldValue] = Field(default_factory=dict)
    """Values by dotted path, for the cases that have the field."""
    name: str | None = None
    output: str = "runs"
    cpus_per_trial: int | None = None
    """CPU threads of a training; None: all cores."""
    gpus_per_trial: float | None = None

    def resolved(self) -> Self:
        """Return the options with each case listed once, absolute paths and a name.

        The name is derived from what all cases share, so that the same options find their run.
        """
        given = [case.strip() for item in self.cases for case in item.split(",")]
        cases = [one for case in given for one in (CLASSIC_CASES if case == CLASSIC else [case])]
        output = persistent_path(self.output)
        options = self.model_copy(
            update={
                "dataset": absolute_dataset(self.dataset),
                "data_dir": requested_data_folder(self.data_dir),
                "cases": list(dict.fromkeys(cases)),
                "output": address(output.absolute() if isinstance(output, Path) else output),
            }
        )
        if options.name is None:
            data = options.dataset.removeprefix(FOLDER_PREFIX).rpartition("/")[2]
            content = json.dumps(options.shared(), sort_keys=True)
            digest = hashlib.sha256(content.encode()).hexdigest()[:8]
            prefix = re.sub(r"[^A-Za-z0-9_.-]", "-", data).lstrip(".-")
            name = f"{prefix}-{COMPARE}-{digest}".lstrip("-")
            options = options.model_copy(update={"name": name})
        return options

    def shared(self) -> dict[str, Any]:
        """Return the options that cannot change on a resume; cases and seeds can be added."""
        return self.model_dump(mode="json", include={"dataset", "train_images", "epochs", "fix"})


@dataclass(frozen=True, kw_only=True)
class ComparePlan(TrainingPlan):
    """The cases to train, and the sizes of their data."""

    evaluate_test: ClassVar[bool] = True
    options: CompareOptions
    chance: float
    train_images: int
    validation_images: int
    test_images: int

    def manifest(self) -> RunManifest:
        """Return the manifest of the comparison."""
        return new_manifest(
            self.folder.name,
            self.options.to_dict(),
            self.resources,
            base=self.candidates[0].config.to_dict(),
            chance=self.chance,
            trial_seconds=None,
            validation_images=self.validation_images,
            train_images=self.train_images,
            test_images=self.test_images,
            notes=list(self.notes),
            fingerprint=self.fingerprint,
        )


def plan_comparison(
    options: CompareOptions, *, progress: Callable[[str, float], None] | None = None
) -> ComparePlan:
    """Validate the options, and load the data, which builds the node's cache.

    Args:
        options: options of the command.
        progress: called with the step in progress and the fraction done, in [0, 1].

    Raises:
        UsageError: an option is invalid; the first error, in one line with its remedy.
    """
    options = options.resolved()
    candidates = _candidates(options)
    machine = local_machine()
    cpus = options.cpus_per_trial
    resources = plan_resources(
        machine,
        cpus_per_trial=machine.cpus if cpus is None else cpus,
        gpus_per_trial=options.gpus_per_trial,
        max_concurrent=1,
    )
    folder = _run_path(options)
    data = candidates[0].config.data
    images = load(data, data_folder(options.data_dir), progress=progress)
    if stored := _stored(folder):
        require_unchanged(images, stored.fingerprint, str(folder))
    stem_sizes(candidates[0].config.model.stem, images.shape[1])
    parts = split(images, data)
    return ComparePlan(
        options=options,
        folder=folder,
        candidates=candidates,
        seeds=tuple(range(options.seeds)),
        resources=resources,
        data_dir=options.data_dir,
        fingerprint=fingerprint(images),
        notes=(*images.notes, *overlaps(images, parts, data)),
        chance=chance_accuracy(images.train_labels[parts.validation]),
        train_images=len(parts.train),
        validation_images=len(parts.validation),
        test_images=len(images.test_labels),
    )


def comparison_options(
    run: RunPath, changes: Mapping[str, Any], *, trust: bool = False
) -> CompareOptions:
    """Return the options of a comparison, with those that a resume changes.

    Args:
        run: path or URL of the comparison.
        changes: options that were given to the resume.
        trust: approve the data directory that its `run.json` names.

    Raises:
        RunFolderError: the run cannot be read.
        UsageError: another data set, or a data directory that the user did not approve.
    """
    stored = read_manifest(run).options
    used = CompareOptions.model_fields.keys()
    options = changed_options(run, stored, changes, used=used, trust=trust)
    # the run may have been moved
    return CompareOptions.from_dict(options | {"name": run.name, "output": address(run.parent)})


def _stored(run: RunPath) -> RunManifest | None:
    return read_manifest(run) if (run / MANIFEST).exists() else None


def _candidates(options: CompareOptions) -> tuple[Candidate, ...]:
    for path, option in _OPTION_OF.items():
        if path in options.fix:
            raise UsageError(f"--fix {path} is not available in a comparison; use {option}")
    base = recipe("classic")
    shared = {
        "data.dataset": options.dataset,
        "data.train_images": options.train_images,
        "training.epochs": options.epochs,
    }
    found: list[Candidate] = []
    used: set[str] = set()
    for case in options.cases:
        params = case_fields(case)
        fix = applicable_fields(options.fix, base, params)
        used |= fix.keys()
        config = base.with_values(fix | shared | params)
        found.append(Candidate(confirms=case, config=config, params=params))
    for path in options.fix.keys() - used:
        raise UsageError(f"--fix {path}: none of the cases {_listed(options.cases)} has this field")
    return tuple(found)


def _run_path(options: CompareOptions) -> RunPath:
    assert options.name is not None
    path = persistent_path(options.output) / checked_name(options.name)
    if not run_exists(path):
        check_writable(path)
        return path
    stored = manifest.options if (manifest := _stored(path)) else {}
    if stored.get("command") != COMPARE:
        raise already_exists_error(path)
    shared = options.shared()
    stored = stored | {"dataset": moved_dataset(str(stored.get("dataset")), options.dataset)}
    different = [name for name in shared if stored.get(name) != shared[name]]
    if different:
        raise UsageError(
            f"{path} holds a comparison with different {_listed(different)}; choose another --name"
        )
    return path


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
