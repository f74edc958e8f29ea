"""Plans a search: validates options, data and machines before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces import Space, from_dict, to_dict
from search_spaces.image_constraints import fit_to_images
from search_spaces.validate import validate
from tune_ode.config import TrialConfig
from tune_ode.config.data import relocated
from tune_ode.config.model import stem_sizes
from tune_ode.config.trial import dotted_paths
from tune_ode.data import (
    Fingerprint,
    absolute_paths,
    chance_accuracy,
    data_folder,
    fingerprint,
    load,
    overlaps,
    require_unchanged,
    split,
)
from tune_ode.errors import UsageError
from tune_ode.machine.gpu_packing import MEMORY_FIELDS, largest_config, share_of_gpu
from tune_ode.machine.network import check_loopback
from tune_ode.machine.resources import Cluster, TrialResources, local_machine, plan_resources
from tune_ode.paths import RunPath, address, persistent_path
from tune_ode.records import RunManifest, read_manifest
from tune_ode.runs.location import already_exists_error
from tune_ode.runs.open import check_writable, run_exists
from tune_ode.tuning.budget import plan_budget
from tune_ode.tuning.log_to.targets import LogTarget, check_log_targets, parse_log_targets
from tune_ode.tuning.options import (
    SearchOptions,
    base_config,
    check_sampler,
    run_name,
    searched_space,
)
from tune_ode.tuning.ray_backend.session import check_session_directory, is_connected
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.study.coverage import note_on_points
from tune_ode.tuning.study.initial_configs import initial_config, note_on_start, quick_config
from tune_ode.tuning.study.objective import OBJECTIVES, Objective
from tune_ode.tuning.study.samplers import sampler_factory
from tune_ode.tuning.study.storage import check_storage, study_hash
from tune_ode.tuning.study.warm_start import PriorResult, best_points, find_run, prior_results
from tune_ode.worker.spec import WorkerSpec


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A validated search."""

    options: SearchOptions
    """As given; what was left to its default is in the other fields."""
    space: Space
    notes: tuple[str, ...]
    """Files passed over, how the space was restricted to fit the images, how GPUs are shared."""
    base: TrialConfig
    budget: Budget
    resources: TrialResources
    run_folder: RunPath
    shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    classes: int
    images: int
    """Training images, including the validation split."""
    validation_images: int
    fingerprint: Fingerprint
    """Of the images."""
    chance: float
    """Accuracy of a constant prediction on the validation split, in [0, 1]."""
    study_name: str
    storage_url: str | None = field(repr=False)
    """URL of the study's database, with the password if one was given."""
    start_points: list[dict[str, Any]]
    """Points to try first."""
    prior: list[PriorResult] | None
    """Results of earlier runs that a new search starts from; None: there are none, or on a resume,
    they are not read yet."""

    @property
    def objective(self) -> Objective:
        """What the search optimizes."""
        return OBJECTIVES[self.options.objective]

    @property
    def log_targets(self) -> list[LogTarget]:
        """Where measurements are logged in addition to the run directory."""
        return parse_log_targets(self.options.log_to)

    @property
    def worker(self) -> WorkerSpec:
        """Resources of a trial's process."""
        return WorkerSpec(
            data_dir=str(data_folder(self.options.data_dir)),
            device=self.resources.device,
            threads=self.resources.cpus_per_trial,
            gpus=self.resources.gpus_per_trial,
            memory_bytes=self.resources.memory_per_trial,
            fingerprint=self.fingerprint,
        )


def plan_search(
    options: SearchOptions,
    *,
    base: TrialConfig | None = None,
    manifest: RunManifest | None = None,
    run_folder: RunPath | None = None,
    base_from: RunPath | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Plan:
    """Validate options and load the data, which builds the cache of this node.

    Args:
        options: what to search, and how.
        base: the configuration that proposed values are set on; None: the default, with the data,
            fixed values and seed of the options.
        manifest: of an existing run; its space is used, since the source of the space may have
            changed.
        run_folder: its directory; None: a new one, named by the options.
        base_from: the run that `base` is from, if it must be trained on the same images.
        progress: called with what is being prepared and the share done in [0, 1].

    Raises:
        UsageError: the first problem, in one line with the remedy.
    """
    storage_url = options.storage
    options = options.resolved()
    sampler_factory(options.sampler)
    space = searched_space(options) if manifest is None else from_dict(manifest.space)
    cluster = _cluster(options)
    cpus_per_trial = options.cpus_per_trial
    if cpus_per_trial is None and options.command == "train":
        cpus_per_trial = cluster.cpus
    resources = plan_resources(
        cluster,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=None if options.gpus_per_trial == "auto" else options.gpus_per_trial,
        max_concurrent=None if options.gpus_per_trial == "auto" else options.max_concurrent,
    )
    if options.command == "search" and not resources.cluster.is_remote:
        check_session_directory()
    if run_folder is None:
        run_folder = _new_run_folder(options)
        check_log_targets(parse_log_targets(options.log_to), run_folder)
        check_writable(run_folder)
    if base is None:
        base = base_config(options, space)
    elif manifest is not None:
        base = TrialConfig.from_dict(relocated(base.to_dict(), options.dataset))
    base = base.model_copy(update={"data": absolute_paths(base.data)})
    # names are checked before the data are loaded
    starts: dict[str, TrialConfig | RunPath] = {}
    if manifest is None:
        starts = {name: find_run(name) or initial_config(name) for name in options.start_from}
    data_dir = data_folder(options.data_dir)
    images = load(base.data, data_dir, progress=progress)
    if manifest is not None:
        require_unchanged(images, manifest.fingerprint, str(run_folder))
    elif base_from is not None:
        remedy = f"set --dataset {base.data.dataset} to train on them as they are now"
        require_unchanged(images, read_manifest(base_from).fingerprint, str(base_from), remedy)
    parts = split(images, base.data)
    channels, size, _ = images.shape
    stem_sizes(base.model.stem, size)
    notes = [*images.notes, *overlaps(images, parts, base.data)]
    if manifest is None:
        space, restrictions = fit_to_images(space, base, channels=channels, size=size)
        notes += restrictions
        validate(space, base, size)
        check_sampler(options, space)
        content = study_hash(to_dict(space), base.to_dict(), options.objective)
        study_name = f"{run_folder.name}-{content}"
    else:
        study_name, start_points = manifest.study, manifest.start_points
    if options.command == "search":
        notes += note_on_points(space, options.trials)
    if options.gpus_per_trial == "auto":
        resources, note = _share_gpus(options, resources, largest_config(space, base), data_dir)
        notes.append(note)
    budget = plan_budget(options, resources, manifest)
    prior: list[PriorResult] | None = None
    if manifest is None:
        if options.command == "search" and not starts:
            starts = {"the default configuration": base, "a quick recipe": quick_config(space)}
        start_points = []
        for name, start in starts.items():
            if isinstance(start, TrialConfig):
                start_points.append(space.point(start))
                if name in options.start_from or space.outside(start):
                    notes += note_on_start(name, start, space, base)
            else:
                start_points += best_points(start, space)
                found = prior_results(
                    start, space, base, OBJECTIVES[options.objective], budget.trial_seconds,
                    fingerprint(images), options.instants_per_decade,
                )  # fmt: skip
                notes.append(f"starting with {start.name}: {found}")
                prior = [*(prior or []), *found.kept]
    if storage_url is not None:
        check_storage(storage_url, study_name if manifest is None else None)
    if resources.cluster.is_remote:
        from tune_ode.tuning.ray_backend.cluster import probe

        parent: RunPath = run_folder.parent
        if isinstance(run_folder, Path):
            parent = next(parent for parent in run_folder.parents if parent.exists())
        probe(resources, address(parent), base.data, str(data_dir), fingerprint(images))
    return Plan(
        options=options,
        space=space,
        notes=tuple(notes),
        base=base,
        budget=budget,
        resources=resources,
        run_folder=run_folder,
        shape=images.shape,
        classes=images.classes,
        images=len(parts.train) + len(parts.validation),
        validation_images=len(parts.validation),
        fingerprint=fingerprint(images),
        chance=chance_accuracy(images.train_labels[parts.validation]),
        study_name=study_name,
        storage_url=storage_url,
        start_points=start_points,
        prior=prior,
    )


def _cluster(options: SearchOptions) -> Cluster:
    if options.address is None:
        if options.command == "search" and is_connected():
            from tune_ode.tuning.ray_backend.cluster import cluster_state

            return cluster_state(is_borrowed=True)
        if options.command == "search":
            check_loopback()
        return local_machine()
    # imported here: Ray takes seconds
    from tune_ode.tuning.ray_backend.join import join

    return join(options.address)


def _share_gpus(
    options: SearchOptions, resources: TrialResources, config: TrialConfig, data_dir: Path
) -> tuple[TrialResources, str]:
    """Measure the share of a GPU that a large trial needs; return resources with it, and a note."""
    cluster = resources.cluster
    if resources.device == "cpu":
        raise UsageError(
            f"--gpus-per-trial auto needs a GPU, but {cluster.inventory}; use --gpus-per-trial 0 "
            "to train on CPU cores"
        )
    if cluster.is_remote:
        from tune_ode.tuning.ray_backend.cluster import measure_on_gpu_node as measure
    else:
        from tune_ode.machine.gpu_packing import measure_in_subprocess as measure
    peak = measure(config, data_dir)
    by_cpus = max(
        node.cpus // max(node.gpus, 1) // resources.cpus_per_trial
        for node in cluster.nodes + cluster.on_demand
        if node.gpus
    )
    share = share_of_gpu(peak, max(by_cpus, 1))
    resources = plan_resources(
        cluster,
        cpus_per_trial=resources.cpus_per_trial,
        gpus_per_trial=share,
        max_concurrent=options.max_concurrent,
    )
    fields = dotted_paths(config.to_dict())
    large = ", ".join(f"{path} {fields[path]}" for path in MEMORY_FIELDS)
    return resources, (
        f"a trial with {large} takes {peak.used / 2**30:.2g} of a GPU's "
        f"{peak.total / 2**30:.3g} GiB; {round(1 / share)} share one"
    )  # fmt: skip


def _new_run_folder(options: SearchOptions) -> RunPath:
    output, name = persistent_path(options.output), run_name(options)
    folder = output / name
    if options.name is not None:
        if run_exists(folder):
            raise already_exists_error(folder)
        return folder
    count = 1
    while run_exists(folder):
        count += 1
        folder = output / f"{name}-{count}"
    return folder
