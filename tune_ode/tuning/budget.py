"""The limits of a search and of each of its trials, where not given."""

from __future__ import annotations

from tune_ode.errors import UsageError
from tune_ode.machine.resources import TrialResources
from tune_ode.records import RunManifest
from tune_ode.tuning.options import MIN_TRIAL_SECONDS, SearchOptions
from tune_ode.tuning.search.limits import Budget, default_report_timeout

DEFAULT_BUDGET_SECONDS = 240.0
"""Time budget of a search without any limit: a first result in minutes, mostly spent training."""
DEFAULT_TRIAL_SECONDS = 60.0
"""Maximum training time of a trial in a search without a number of trials."""
FULL_LENGTH_TRIALS = 6
"""Full-length trials that fit a search without a number of trials; most trials stop early."""


def plan_budget(
    options: SearchOptions, resources: TrialResources, manifest: RunManifest | None = None
) -> Budget:
    """Return the limits of a search and of each trial, given or default.

    Args:
        options: options of the search.
        resources: resources of a trial, and how many trials run at once.
        manifest: of an existing run, whose trials keep their budget: rungs and curves depend on it.

    Raises:
        UsageError: GPU hours where trials use no GPU.
    """
    is_search = options.command == "search"
    time_budget = options.time_budget
    if is_search and not (options.trials or time_budget or options.gpu_hours):
        time_budget = DEFAULT_BUDGET_SECONDS
    gpu_seconds = options.gpu_hours and options.gpu_hours * 3600
    # a search that is resumed without GPUs keeps the limit, which it does not reach any more
    limited = manifest is not None and (options.trials or time_budget)
    if gpu_seconds is not None and resources.gpus_per_trial == 0 and not limited:
        raise UsageError(
            f"--gpu-hours needs trials that use a GPU, found {resources.per_trial} per trial; "
            "set --time-budget instead"
        )
    trial_seconds = options.trial_seconds if manifest is None else manifest.trial_seconds
    if trial_seconds is None and is_search:
        # what each trial could use if none stopped early
        slots = min(resources.max_concurrent, options.trials or resources.max_concurrent)
        totals = [] if time_budget is None else [time_budget * slots]
        totals += [] if gpu_seconds is None else [gpu_seconds / resources.gpus_per_trial]
        trial_seconds = DEFAULT_TRIAL_SECONDS
        if totals:
            share = min(totals) / (options.trials or FULL_LENGTH_TRIALS)
            share = max(share, MIN_TRIAL_SECONDS)
            # without a number of trials, a long search runs more trials, not longer ones
            trial_seconds = share if options.trials else min(share, trial_seconds)
    report_timeout = options.trial_timeout
    if report_timeout is None and is_search:
        report_timeout = default_report_timeout(trial_seconds)
    return Budget(
        trials=options.trials,
        seconds=time_budget,
        trial_seconds=trial_seconds,
        instants_per_decade=options.instants_per_decade,
        gpu_seconds=gpu_seconds,
        target_accuracy=options.target_accuracy,
        patience=options.patience,
        report_timeout=report_timeout,
    )
