"""Starts and resumes searches: folder, study, state machine, Ray, display, signals."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces import to_dict
from tune_ode.cli.display.search import SearchDisplay
from tune_ode.cli.display.training import TrainingDisplay
from tune_ode.config import TrialConfig
from tune_ode.errors import Interrupted, UsageError
from tune_ode.paths import RunPath, persistent_path
from tune_ode.records import CONFIRM, Contention, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.open import create_run, open_run
from tune_ode.runs.provenance import new_manifest
from tune_ode.text import pluralize
from tune_ode.tuning.contention.calibration import WorkerGroup, calibrate, is_covered
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import Plan, plan_search
from tune_ode.tuning.search.local_backend import run_in_process
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.storage import study_hash
from tune_ode.tuning.study.warm_start import find_run, is_comparable, prior_results
from tune_ode.worker.signals import on_signal
from tune_ode.worker.task import run_trial

INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """How a search ended."""

    run_folder: RunPath
    interrupted: bool
    """By Ctrl-C or SIGTERM."""
    stop_reason: str | None
    """Why it ended before its number of trials, or None."""
    failed: bool
    """Whether that is something wrong."""


def start(chosen: Plan, console: Console, *, verbose: bool = False) -> SearchResult:
    """Make the run folder and search.

    Raises:
        RunFolderError: the folder cannot be made.
        StorageFull: the disk filled up in mid-search.
    """
    folder = create_run(chosen.run_folder, _manifest(chosen))
    return _search(folder, chosen, console, verbose=verbose)


def resume(
    run: str | Path,
    console: Console,
    *,
    changes: dict[str, Any] | None = None,
    verbose: bool = False,
) -> SearchResult:
    """Continue an interrupted search in its folder.

    Args:
        run: the run folder, or its URL.
        console: where to draw.
        changes: options that differ from now on, such as `trials` or `time_budget`.
        verbose: let Ray speak.

    Raises:
        QuestionError: the folder is no run, is in use, or its data are gone.
    """
    folder = open_run(persistent_path(run))
    manifest = folder.manifest
    if manifest.options.get("command") == CONFIRM:
        folder.close()
        raise UsageError(f"{run} is a confirmation; continue it with: {folder.resume_command}")
    try:
        # the budget of a trial stays as it was: the rungs and every curve depend on it
        kept = {"trial_seconds": manifest.trial_seconds}
        question = SearchOptions.from_dict({**manifest.options, **kept, **(changes or {})})
        # from the manifest, and not from where it once came: that may have changed, or be gone
        base = TrialConfig.from_dict(manifest.base)
        chosen = plan_search(question, base=base, manifest=manifest, run_folder=folder.location)
    except BaseException:
        folder.close()
        raise
    return _search(folder, chosen, console, verbose=verbose)


def _search(folder: RunFolder, chosen: Plan, console: Console, *, verbose: bool) -> SearchResult:
    question = chosen.options
    try:
        proposals = _open_study(folder, chosen)
        search = Search(
            folder,
            proposals,
            chosen.base,
            chosen.budget,
            chosen.worker,
            scheduler=question.scheduler,
            start_points=chosen.start_points,
        )
        _warm_start(proposals, folder, chosen)
        if not search.has_work():
            search.close()
            raise UsageError(f"{folder.location} is finished{_resume_hint(search, question)}")
        folder.update(state="running", options=question.to_dict())
        with _graceful_shutdown(search):
            try:
                if question.command == "train":
                    with TrainingDisplay(search, chosen.base, console) as training:
                        run_in_process(
                            search,
                            partial(run_trial, on_batch=training.advance),
                            tick=training.tick,
                        )
                else:
                    with SearchDisplay(search, console) as display:
                        _run_on_ray(search, folder, chosen, display, verbose=verbose)
            except KeyboardInterrupt:
                if search.stop_reason is None:
                    raise
            finally:
                search.close()
    except KeyboardInterrupt:  # before the search listened for it
        raise Interrupted(f"interrupted; to continue: {folder.resume_command}") from None
    finally:
        folder.close()
    return SearchResult(
        run_folder=folder.location,
        interrupted=search.stop_reason == INTERRUPTED,
        stop_reason=search.stop_reason,
        failed=search.failed,
    )


def _resume_hint(search: Search, question: SearchOptions) -> str:
    if question.command == "train":
        return ""
    if settled := search.limit_reached():
        return f": {settled}; to go on, raise --target-accuracy or --gpu-hours"
    return "; to go on, ask for more trials with --trials"


def _open_study(folder: RunFolder, chosen: Plan) -> StudyAdapter:
    question = chosen.options
    return StudyAdapter(
        chosen.space,
        journal=folder.study_path,
        url=chosen.storage_url,
        study_name=chosen.study_name,
        objective=chosen.objective,
        time_attr="epoch" if question.scheduler == "epochs" else "train_seconds",
        sampler=question.sampler,
        seed=question.seed,
        remedy=folder.resume_command,
    )


def _warm_start(proposals: StudyAdapter, folder: RunFolder, chosen: Plan) -> None:
    """Tell the sampler what earlier runs measured; their best points are waiting to be tried."""
    question = chosen.options
    asked = study_hash(folder.manifest.space, folder.manifest.base, question.objective)
    # on a resume an earlier run may have gone; what was taken over of it is in the study
    earlier = [run for name in question.start_from if (run := find_run(name)) is not None]
    same = [run for run in earlier if is_comparable(run, asked)]
    if same:
        budget = chosen.budget.trial_seconds
        proposals.warm_start(
            result
            for run in same
            for result in prior_results(run, chosen.space, chosen.objective, budget)
        )


def _run_on_ray(
    search: Search, folder: RunFolder, chosen: Plan, display: SearchDisplay, *, verbose: bool
) -> None:
    # imported here: ray takes seconds, and a wrong question is refused before. An interrupt waits
    # for it, as an exception that is raised within the import of an extension module gets lost
    with on_signal(lambda: search.stop(INTERRUPTED)):
        from tune_ode.tuning.ray_backend.callbacks import async_loggers
        from tune_ode.tuning.ray_backend.engine import run_on_ray

    if search.stop_reason is None:
        run_on_ray(
            search,
            chosen.resources,
            after=partial(_measure_contention, search, folder, chosen, display),
            callbacks=async_loggers(chosen.log_targets, search, folder, display.say),
            tick=display.tick,
            verbose=verbose,
        )


def _measure_contention(
    search: Search,
    folder: RunFolder,
    chosen: Plan,
    display: SearchDisplay,
    rooms: Callable[[], Sequence[WorkerGroup]],
) -> None:
    """Measure it on each kind of node that trials shared, unless an earlier start has.

    Behind the last trial, the search being over, since no trial needs it: the first answer need not
    wait for it.
    """
    search.close()
    if search.stop_reason == INTERRUPTED or search.failed or search.best is None:
        return
    if not chosen.options.calibrate:
        return
    began = time.monotonic()
    known = {
        device: Contention.from_json(one) for device, one in folder.manifest.contention.items()
    }
    for room in rooms():
        if room.size < 2:
            continue
        if is_covered(known.values(), chosen.worker, room):
            continue
        beside = f"beside {pluralize(room.size - 1, 'other')}"
        try:
            # an interrupt ends no more than this: the trials are done
            with (
                on_signal(_interrupt),
                display.doing(f"timing a training step alone and {beside} on {room.name} …"),
            ):
                known |= calibrate(chosen.base, chosen.worker, room)
        except KeyboardInterrupt:
            display.say("the price of sharing is not known: interrupted")
            break
        except Exception as error:  # whatever it is, the search itself can do without
            last_line = (str(error).strip() or type(error).__name__).splitlines()[-1]
            display.say(f"the price of sharing is not known: {last_line}")
    folder.update(
        contention={device: sharing.to_json() for device, sharing in known.items()},
        contention_seconds=folder.manifest.contention_seconds + time.monotonic() - began,
    )


def _interrupt() -> None:
    raise KeyboardInterrupt


def _graceful_shutdown(search: Search) -> contextlib.AbstractContextManager[None]:
    """Turn Ctrl-C and SIGTERM into an orderly stop; a second one ends at once.

    So does the first where no trial runs: there is nothing to wait for, and Ray may be starting,
    which takes seconds.
    """

    def stop() -> None:
        nothing_runs = not search.running
        again = search.stop_reason is not None
        search.stop(INTERRUPTED)
        if nothing_runs or again:
            raise KeyboardInterrupt

    return on_signal(stop)


def _manifest(chosen: Plan) -> RunManifest:
    return new_manifest(
        chosen.run_folder.name,
        chosen.options.to_dict(),
        chosen.resources,
        space=to_dict(chosen.space),
        base=chosen.base.to_dict(),
        chance=chosen.chance,
        trial_seconds=chosen.budget.trial_seconds,
        validation_images=chosen.validation_images,
        study=chosen.study_name,
        start_points=chosen.start_points,
    )
