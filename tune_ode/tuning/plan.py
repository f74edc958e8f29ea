"""A question with its data and machines: all of it is checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces import Space, from_dict, to_dict
from search_spaces.image_constraints import fit_to_images
from search_spaces.validate import validate
from tune_ode.config import TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.config.trial import dotted_paths
from tune_ode.data import chance_accuracy, load, split
from tune_ode.errors import UsageError
from tune_ode.machine.gpu_packing import MEMORY_FIELDS, largest_config, share_of_gpu
from tune_ode.machine.resources import Cluster, TrialResources, local_machine, plan_resources
from tune_ode.paths import RunPath as Location
from tune_ode.paths import address as address_of
from tune_ode.paths import persistent_path
from tune_ode.records import RunManifest
from tune_ode.runs.folder import already_exists_error
from tune_ode.runs.open import check_writable, run_exists
from tune_ode.tuning.options import (
    SMALLEST_TRIAL_SECONDS,
    SearchOptions,
    base_config,
    run_name,
    searched_space,
)
from tune_ode.tuning.ray_backend.log_targets import (
    LogTarget,
    check_log_targets,
    parse_log_targets,
)
from tune_ode.tuning.search.limits import REPORT_TIMEOUT_SECONDS, Budget
from tune_ode.tuning.study.initial_configs import initial_config, quick_config
from tune_ode.tuning.study.objective import OBJECTIVES, Objective
from tune_ode.tuning.study.samplers import sampler_factory
from tune_ode.tuning.study.storage import check_storage, study_hash
from tune_ode.tuning.study.warm_start import best_points, find_run
from tune_ode.worker.spec import WorkerSpec

DEFAULT_TRIAL_SECONDS = 60.0
"""The most that a trial gets where nobody says how many there are."""
FULL_LENGTH_TRIALS = 6
"""So many that nothing stops fit a short search; of those tried, one in 27 gets to its end."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A question whose every part was found valid."""

    options: SearchOptions
    space: Space
    notes: tuple[str, ...]
    """What the space lost since these images have no use for it."""
    base: TrialConfig
    budget: Budget
    resources: TrialResources
    run_folder: Location
    shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    images: int
    """Training images, validation split included."""
    validation_images: int
    chance: float
    study_name: str
    """Name of the study."""
    storage_url: str | None = field(repr=False)
    """Of the study's database, with the password where one was given."""
    start_points: list[dict[str, Any]]
    """Points to be tried first."""

    @property
    def objective(self) -> Objective:
        """What it optimizes."""
        return OBJECTIVES[self.options.objective]

    @property
    def log_targets(self) -> list[LogTarget]:
        """Where else what is measured goes."""
        return parse_log_targets(self.options.log_to)

    @property
    def worker(self) -> WorkerSpec:
        """Where its trials run."""
        return WorkerSpec(
            data_dir=self.options.data_dir,
            device=self.resources.device,
            threads=self.resources.cpus_per_trial,
            gpus=self.resources.gpus_per_trial,
            memory_bytes=self.resources.memory_per_trial,
        )


def plan_search(
    question: SearchOptions,
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
    asked = searched_space(question) if manifest is None else from_dict(manifest.space)
    resources = plan_resources(
        _cluster(question),
        cpus_per_trial=question.cpus_per_trial,
        gpus_per_trial=None if question.gpus_per_trial == "auto" else question.gpus_per_trial,
        max_concurrent=None if question.gpus_per_trial == "auto" else question.max_concurrent,
    )
    if run_folder is None:
        run_folder = _new_run_folder(question)
        check_log_targets(parse_log_targets(question.log_to), run_folder)
        check_writable(run_folder)
    if base is None:
        base = base_config(question, asked)
    starts = _start_configs(question) if manifest is None else []
    data_dir = Path(question.data_dir) if question.data_dir else None
    images = load(base.data, data_dir, progress=progress)
    parts = split(images.train_labels, base.data)
    stem_sizes(base.model.stem, images.shape[1])
    notes: list[str] = []
    if manifest is None:
        space, notes = fit_to_images(asked, base, channels=images.shape[0], size=images.shape[1])
        validate(space, base, images.shape[1])
        study_of = study_hash(to_dict(space), base.to_dict(), question.objective)
        study = f"{run_folder.name}-{study_of}"
        if question.command == "search" and not starts:
            starts = [base, quick_config(space)]
        start_points = [
            point
            for start in starts
            for point in (
                [space.point(start)]
                if isinstance(start, TrialConfig)
                else best_points(start, space)
            )
        ]
    else:
        space, study, start_points = asked, manifest.study, manifest.start_points
    if question.gpus_per_trial == "auto":
        question, resources, note = _packed(question, resources, largest_config(space, base))
        notes.append(note)
    if storage_url is not None:
        check_storage(storage_url, study if manifest is None else None)
    if resources.cluster.is_remote:
        from tune_ode.tuning.ray_backend.cluster import probe

        where: Location = run_folder.parent
        if isinstance(run_folder, Path):
            where = next(parent for parent in run_folder.parents if parent.exists())
        probe(resources, address_of(where), base.data, question.data_dir)
    return Plan(
        options=question,
        space=space,
        notes=tuple(notes),
        base=base,
        budget=_limits(question, resources),
        resources=resources,
        run_folder=run_folder,
        shape=images.shape,
        classes=images.classes,
        images=len(parts.train) + len(parts.validation),
        validation_images=len(parts.validation),
        chance=chance_accuracy(images.train_labels[parts.validation]),
        study_name=study,
        storage_url=storage_url,
        start_points=start_points,
    )


def _cluster(question: SearchOptions) -> Cluster:
    if question.address is None:
        return local_machine()
    # ray takes seconds to import
    from tune_ode.tuning.ray_backend.cluster import join

    return join(question.address)


def _packed(
    question: SearchOptions, whole: TrialResources, config: TrialConfig
) -> tuple[SearchOptions, TrialResources, str]:
    """Measure what share of a GPU a large trial needs; return the question with that share."""
    if whole.device == "cpu":
        raise UsageError(
            f"--gpus-per-trial auto needs a GPU, but {whole.cluster.inventory}; leave the option out "
            "to train on CPU cores"
        )
    if whole.cluster.is_remote:
        from tune_ode.tuning.ray_backend.cluster import measure_on_gpu_node as measure
    else:
        from tune_ode.machine.gpu_packing import measure_in_subprocess as measure
    peak = measure(config, Path(question.data_dir) if question.data_dir else None)
    cores = max(
        node.cpus // max(node.gpus, 1) // whole.cpus_per_trial
        for node in whole.cluster.nodes + whole.cluster.on_demand
        if node.gpus
    )
    share = share_of_gpu(peak, max(cores, 1))
    question = question.model_copy(update={"gpus_per_trial": share})
    resources = plan_resources(
        whole.cluster,
        cpus_per_trial=question.cpus_per_trial,
        gpus_per_trial=share,
        max_concurrent=question.max_concurrent,
    )
    settings = dotted_paths(config.to_dict())
    large = ", ".join(f"{path} {settings[path]}" for path in MEMORY_FIELDS)
    return question, resources, (
        f"a trial with {large} takes {peak.used / 2**30:.2g} of a GPU's "
        f"{peak.total / 2**30:.3g} GiB; {round(1 / share)} share one"
    )  # fmt: skip


def _start_configs(question: SearchOptions) -> list[TrialConfig | Location]:
    """Return configurations, and places of runs; each name is checked before data are loaded."""
    return [find_run(name) or initial_config(name) for name in question.start_from]


def _limits(question: SearchOptions, resources: TrialResources) -> Budget:
    searching = question.command == "search"
    gpu_seconds = question.gpu_hours and question.gpu_hours * 3600
    if gpu_seconds is not None and resources.gpus_per_trial == 0:
        raise UsageError(
            "--gpu-hours needs trials that use a GPU, but theirs is "
            f"{resources.summary}; set --time-budget instead"
        )
    trial_seconds = question.trial_seconds
    if trial_seconds is None and searching:
        # what each trial could use if all ran to their end in what there is
        slots = min(resources.max_concurrent, question.trials or resources.max_concurrent)
        budgets = [] if question.time_budget is None else [question.time_budget * slots]
        budgets += [] if gpu_seconds is None else [gpu_seconds / resources.gpus_per_trial]
        trial_seconds = DEFAULT_TRIAL_SECONDS
        if budgets:
            share = max(
                min(budgets) / (question.trials or FULL_LENGTH_TRIALS), SMALLEST_TRIAL_SECONDS
            )
            # where nobody says how many, a long search has more trials, and not longer ones
            trial_seconds = share if question.trials else min(share, trial_seconds)
    silence = question.trial_timeout
    if silence is None and searching and trial_seconds is not None:
        silence = 2 * trial_seconds + REPORT_TIMEOUT_SECONDS
    return Budget(
        trials=question.trials,
        seconds=question.time_budget,
        trial_seconds=trial_seconds,
        gpu_seconds=gpu_seconds,
        target_accuracy=question.target_accuracy,
        report_timeout=silence,
    )


def _new_run_folder(question: SearchOptions) -> Location:
    output, name = persistent_path(question.output), run_name(question)
    folder = output / name
    if question.name is not None:
        if run_exists(folder):
            raise already_exists_error(folder)
        return folder
    count = 1
    while run_exists(folder):
        count += 1
        folder = output / f"{name}-{count}"
    return folder
