"""Search, resume and train."""

from __future__ import annotations

import os
from typing import Unpack

from tune_ode.api.arguments import (
    ResumeArguments,
    SearchArguments,
    TrainArguments,
    option_values,
    with_arguments,
)
from tune_ode.api.outcome import check_outcome
from tune_ode.api.progress import OnReport, line_display, print_start
from tune_ode.api.replications import run_comparison
from tune_ode.api.resolve import RunLike, path_of
from tune_ode.api.run import Run
from tune_ode.api.session import session
from tune_ode.api.training_request import training_request
from tune_ode.api.trial import Trial
from tune_ode.config import TrialConfig
from tune_ode.records import COMPARE, read_manifest
from tune_ode.replication.compare_plan import comparison_options
from tune_ode.tuning.launch import SearchResult, start
from tune_ode.tuning.launch import resume as resume_run
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search


@with_arguments(SearchArguments, SearchOptions)
def search(
    *,
    on_report: OnReport | None = None,
    progress: bool = True,
    verbose: bool = False,
    **options: Unpack[SearchArguments],
) -> Run:
    """Search, as `tune-ode search`; without options: digits, the quick space, four minutes.

    Trials run in processes of a local Ray, or of the Ray cluster that this process is connected to.
    Ctrl-C, or the interrupt button of a notebook, saves the trials and raises `Interrupted`;
    `resume` continues the run.

    Args:
        on_report: called with each report of a trial after it was recorded. What it raises ends the
            search, which can be resumed.
        progress: print a line when a trial ends.
        verbose: show Ray's own log output.
        **options: see `tune_ode.api.arguments.SearchArguments`.

    Returns:
        The finished run.

    Raises:
        UsageError: an invalid option; nothing was started.
        Interrupted: by the user; the message has the command that resumes it.
        RunFailed: the search failed, or no trial was measured.
    """
    values = option_values(options, SearchArguments)
    with session():
        plan = plan_search(SearchOptions.from_dict(values))
        print_start(progress, plan.notes, plan.run_folder)
        result = start(plan, display=line_display(progress, on_report), verbose=verbose)
    return _finished(result)


@with_arguments(ResumeArguments)
def resume(
    run: RunLike,
    *,
    on_report: OnReport | None = None,
    progress: bool = True,
    trust: bool = False,
    verbose: bool = False,
    **options: Unpack[ResumeArguments],
) -> Run:
    """Resume a search, training or comparison, as `tune-ode resume`.

    Args:
        run: the run, its directory or URL, its name in `runs/`, or `latest`.
        on_report: as for `search`; not called for a comparison.
        progress: print a line when a trial ends.
        trust: approve the code, servers and directories that the run names.
        verbose: show Ray's own log output.
        **options: what changes; see `tune_ode.api.arguments.ResumeArguments`.

    Returns:
        The finished run.

    Raises:
        UsageError: there is no such run, it is in use or finished, or an option is invalid.
        Interrupted: by the user; the message has the command that resumes it.
        RunFailed: the search failed, or no trial was measured.
    """
    changes = option_values(options, ResumeArguments)
    path = path_of(run, persistent=True)
    if read_manifest(path).options.get("command") == COMPARE:
        run_comparison(comparison_options(path, changes, trust=trust), progress=progress)
        return Run(path)
    with session():
        result = resume_run(
            path,
            display=line_display(progress, on_report),
            changes=changes,
            trust=trust,
            verbose=verbose,
        )
    return _finished(result)


@with_arguments(TrainArguments, SearchOptions)
def train(
    configuration: str | os.PathLike[str] | Trial | TrialConfig | None = None,
    *,
    on_report: OnReport | None = None,
    progress: bool = True,
    **options: Unpack[TrainArguments],
) -> Run:
    """Train one configuration in this process, as `tune-ode train`.

    Args:
        configuration: a recipe, a YAML file, RUN:TRIAL, a trial, or a configuration; None: the
            default configuration.
        on_report: as for `search`.
        progress: print a line at the start and the end.
        **options: see `tune_ode.api.arguments.TrainArguments`; they override the configuration.

    Returns:
        The run, with one trial; `run.best.test()` evaluates it on the test set.

    Raises:
        UsageError: no such configuration, or an invalid option; nothing was started.
        Interrupted: by the user; the message has the command that resumes it.
        RunFailed: the training did not complete.
    """
    values = option_values(options, TrainArguments)
    if isinstance(configuration, os.PathLike):
        configuration = os.fspath(configuration)
    elif isinstance(configuration, Trial):
        configuration = configuration.name
    with session():
        request = training_request(configuration, values)
        plan = plan_search(request.options, base=request.base, base_from=request.base_from)
        print_start(progress, plan.notes, plan.run_folder)
        result = start(plan, display=line_display(progress, on_report))
    return _finished(result)


def _finished(result: SearchResult) -> Run:
    run = Run(result.run_folder)
    check_outcome(result, run.tables)
    return run
