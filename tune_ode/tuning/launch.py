"""Starts and resumes searches: run directory, study, Ray, display and signals."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from search_spaces import to_dict
from tune_ode.config import TrialConfig
from tune_ode.errors import Interrupted, UsageError, redact
from tune_ode.paths import RunPath, persistent_path
from tune_ode.process.signals import on_signal
from tune_ode.records import CONFIRM, Contention, InvalidRecord, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.open import create_run, open_run
from tune_ode.runs.provenance import new_manifest
from tune_ode.runs.relocation import changed_options
from tune_ode.tuning.contention.calibration import WorkerGroup, calibrate, is_covered
from tune_ode.tuning.display import Display
from tune_ode.tuning.new_limit import finished_error, gives_new_budget, require_new_limit
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import Plan, plan_search
from tune_ode.tuning.search.local_backend import run_in_process
from tune_ode.tuning.search.progress import INTERRUPTED
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.open_study import quiet_optuna
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.warm_start import find_run, prior_results
from tune_ode.worker.task import run_trial

DisplayFactory = Callable[[Search, Plan], Display]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """How a search ended."""

    run_folder: RunPath
    interrupted: bool
    """Whether Ctrl-C, SIGTERM or SIGHUP ended it."""
    stop_reason: str | None
    """Why it ended before its number of trials, or None."""
    failed: bool
    """Whether the stop reason is an error."""


def start(
    plan: Plan, *, display: DisplayFactory = lambda search, plan: Display(), verbose: bool = False
) -> SearchResult:
    """Create the run directory and search.

    Args:
        plan: the validated search.
        display: creates what shows the search.
        verbose: show Ray's own log output.

    Raises:
        RunFolderError: the run directory cannot be created.
        StorageFull: the disk is full.
        StorageUnavailable: the object store of the run is not available.
    """
    with _opened(create_run(plan.run_folder, _manifest(plan))) as folder:
        return _search(folder, plan, display, verbose=verbose)


def resume(
    run: str | RunPath,
    *,
    display: DisplayFactory = lambda search, plan: Display(),
    changes: dict[str, Any] | None = None,
    trust: bool = False,
    verbose: bool = False,
) -> SearchResult:
    """Resume an interrupted search, or a finished one with a new limit.

    Args:
        run: the run directory, or its URL.
        display: creates what shows the search.
        changes: options that change, such as `trials` or `data_dir`. A new limit starts the time
            budget again; without one, the search continues with the rest of it.
        trust: approve what its `run.json` names: a sampler, servers, a data directory.
        verbose: show Ray's own log output.

    Raises:
        UsageError: there is no run, it is in use or finished, its data are missing, or it names
            something that the user did not approve.
        StorageFull: the disk is full.
        StorageUnavailable: the object store of the run is not available.
    """
    with plan_resume(run, changes=changes, trust=trust) as (folder, plan):
        new_budget = gives_new_budget(changes or {})
        return _search(folder, plan, display, new_budget=new_budget, verbose=verbose)


@contextlib.contextmanager
def plan_resume(
    run: str | RunPath, *, changes: dict[str, Any] | None = None, trust: bool = False
) -> Iterator[tuple[RunFolder, Plan]]:
    """Open a run for the block, and plan its resume; arguments and errors are those of `resume`."""
    changes = changes or {}
    with _opened(open_run(persistent_path(run))) as folder:
        manifest = folder.manifest
        if manifest.options.get("command") == CONFIRM:
            raise UsageError(f"{run} is a confirmation; continue it with: {folder.resume_command}")
        require_new_limit(folder, changes)
        # the space is read from the manifest, whatever it is from
        used = SearchOptions.model_fields.keys() - {"space"}
        options = SearchOptions.from_dict(
            changed_options(folder.location, manifest.options, changes, used=used, trust=trust)
        )
        base = TrialConfig.from_dict(manifest.base)
        plan = plan_search(options, base=base, manifest=manifest, run_folder=folder.location)
        yield folder, plan


@contextlib.contextmanager
def _opened(folder: RunFolder) -> Iterator[RunFolder]:
    """Close a run directory after the block; name the command that resumes an interrupted run."""
    try:
        yield folder
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; to continue: {folder.resume_command}") from None
    finally:
        folder.close()


@quiet_optuna()
def _search(
    folder: RunFolder,
    plan: Plan,
    create_display: DisplayFactory,
    *,
    new_budget: bool = True,
    verbose: bool,
) -> SearchResult:
    study = _open_study(folder, plan)
    search = Search(
        folder,
        study,
        plan.base,
        plan.budget,
        plan.worker,
        scheduler=plan.options.scheduler,
        start_points=plan.start_points,
        new_budget=new_budget,
        say=lambda text: display.print(text),
    )
    _warm_start(study, plan)
    if not search.has_work():
        search.close()
        raise finished_error(folder)
    folder.update(
        state="running",
        stop_reason=None,
        options=plan.options.to_dict(),
        base=plan.base.to_dict(),
        fingerprint=plan.fingerprint,
    )
    # an interrupt is noted only: raised while Ray starts, or is imported, it would do harm
    with on_signal(lambda: search.stop(INTERRUPTED)):
        try:
            with create_display(search, plan) as display:
                search.on_recorded = display.on_report
                if plan.options.command == "train":
                    train = partial(run_trial, on_batch=display.on_batch)
                    run_in_process(search, train, tick=display.tick)
                else:
                    _run_on_ray(search, folder, plan, display, verbose=verbose)
        except KeyboardInterrupt:
            if search.stop_reason is None:
                raise
        finally:
            search.close()
    return SearchResult(
        run_folder=folder.location,
        interrupted=search.stop_reason == INTERRUPTED,
        stop_reason=search.stop_reason,
        failed=search.failed,
    )


def _open_study(folder: RunFolder, plan: Plan) -> StudyAdapter:
    return StudyAdapter(
        plan.space,
        journal=folder.study_path,
        url=plan.storage_url,
        study_name=plan.study_name,
        objective=plan.objective,
        instants=None if plan.options.scheduler == "epochs" else plan.budget.report_instants,
        sampler=plan.options.sampler,
        seed=plan.options.seed,
        remedy=folder.resume_command,
    )


def _warm_start(study: StudyAdapter, plan: Plan) -> None:
    """Add comparable results of earlier runs to the study; `start_points` has their best."""
    if plan.prior is not None:
        study.warm_start(plan.prior)
        return
    # on a resume, an earlier run may be gone; the study has its results
    earlier = [run for name in plan.options.start_from if (run := find_run(name)) is not None]
    if earlier:
        study.warm_start(
            result
            for run in earlier
            for result in prior_results(
                run, plan.space, plan.base, plan.objective, plan.budget.trial_seconds,
                plan.fingerprint, plan.budget.instants_per_decade,
            ).kept
        )  # fmt: skip


def _run_on_ray(
    search: Search, folder: RunFolder, plan: Plan, display: Display, *, verbose: bool
) -> None:
    # imported here, since Ray takes seconds
    from tune_ode.tuning.ray_backend.callbacks import async_loggers
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    run_on_ray(
        search,
        plan.resources,
        after=partial(_measure_contention, search, folder, plan, display),
        callbacks=async_loggers(plan.log_targets, search, folder, display.print),
        tick=display.tick,
        say=display.print,
        verbose=verbose,
    )


def _measure_contention(
    search: Search,
    folder: RunFolder,
    plan: Plan,
    display: Display,
    groups: Callable[[], Sequence[WorkerGroup]],
) -> None:
    """Measure contention on each type of node that trials shared, unless it is known.

    Runs after the last trial, so results are not delayed.
    """
    interrupted = search.stop_reason == INTERRUPTED  # perhaps while the last trial ended
    search.close()
    if interrupted or search.failed or search.best is None or not plan.options.calibrate:
        return
    began = time.monotonic()
    known = {}
    for device, one in folder.manifest.contention.items():
        with contextlib.suppress(InvalidRecord):  # measured again
            known[device] = Contention.from_json(one)
    for group in groups():
        if group.size < 2 or is_covered(known.values(), plan.worker, group):
            continue
        text = f"timing training steps with 1 to {group.size} concurrent trials on {group.name} …"
        try:
            # the trials are done: an interrupt ends the measurement only
            with on_signal(_interrupt), display.status(text):
                known |= calibrate(plan.base, plan.worker, group)
        except KeyboardInterrupt:
            display.print("contention was not measured: interrupted")
            break
        except Exception as error:  # whatever it is, the search does not depend on it
            last_line = (str(error).strip() or type(error).__name__).splitlines()[-1]
            display.print(f"contention was not measured: {redact(last_line)}")
    folder.update(
        contention={device: contention.to_json() for device, contention in known.items()},
        contention_seconds=folder.manifest.contention_seconds + time.monotonic() - began,
    )


def _interrupt() -> None:
    raise KeyboardInterrupt


def _manifest(plan: Plan) -> RunManifest:
    return new_manifest(
        plan.run_folder.name,
        plan.options.to_dict(),
        plan.resources,
        space=to_dict(plan.space),
        base=plan.base.to_dict(),
        chance=plan.chance,
        trial_seconds=plan.budget.trial_seconds,
        validation_images=plan.validation_images,
        notes=list(plan.notes),
        fingerprint=plan.fingerprint,
        study=plan.study_name,
        start_points=plan.start_points,
    )
