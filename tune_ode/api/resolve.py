"""Resolve what a user names: a run, a recipe, a YAML file, RUN:TRIAL."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Protocol, get_args

from search_spaces import PRESETS
from search_spaces.recipes import recipe, recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.catalog.find import is_run, resolve_run
from tune_ode.config import TrialConfig
from tune_ode.config.data import DatasetName, relocated
from tune_ode.errors import RunFolderError, UsageError
from tune_ode.paths import RunPath, run_path
from tune_ode.records import (
    CONFIG,
    TRIALS,
    TrialReader,
    TrialSpec,
    is_trial_id,
    read_manifest,
)
from tune_ode.remote_path import RemotePath
from tune_ode.runs.relocation import run_dataset
from tune_ode.tuning.study.initial_configs import config_from_yaml


class HasPath(Protocol):
    """A loaded run."""

    @property
    def path(self) -> RunPath:
        """Its directory or URL."""


RunLike = HasPath | RunPath | str
"""A run: loaded, or its directory, URL or name."""


def path_of(run: RunLike, *, persistent: bool = False) -> RunPath:
    """Return the absolute path or URL of a run; names are resolved as by `resolve_run`."""
    if isinstance(run, str | Path | RemotePath):
        found = resolve_run(run, persistent=persistent)
        return found.absolute() if isinstance(found, Path) else found
    return run.path


def resolve_config(name: str) -> TrialConfig:
    """Return the configuration of a recipe, a YAML file, or a trial given as RUN:TRIAL.

    Raises:
        UsageError: no such recipe, file or trial, or an invalid configuration.
    """
    if Path(name).suffix in YAML_SUFFIXES:
        return config_from_yaml(Path(name))
    if name in recipes():
        return recipe(name)
    run, trial_id = resolve_trial(name, or_untrained=True)
    reader = TrialReader(run / TRIALS / trial_id)
    spec = reader.record(CONFIG, TrialSpec)
    if spec is None:
        found = f" ({reader.passed_over[0]})" if reader.passed_over else ""
        raise UsageError(f"{run} has no trial {trial_id}{found}; see: tune-ode rank {run}")
    return TrialConfig.from_dict(relocated(spec.config, run_dataset(read_manifest(run))))


def is_config_name(name: str) -> bool:
    """Return whether a name is a recipe or a YAML file, rather than RUN:TRIAL."""
    return Path(name).suffix in YAML_SUFFIXES or name in recipes()


def resolve_trial(name: str, *, or_untrained: bool = False) -> tuple[RunPath, str]:
    """Return the run and the trial id of RUN:TRIAL, split at the last colon.

    TRIAL is an id, with or without leading zeros, or `best`; RUN alone is RUN:best.

    Args:
        name: the argument.
        or_untrained: whether a recipe or a YAML file is also valid, for the error message.

    Raises:
        UsageError: no such run or trial.
    """
    run_name, colon, trial = name.rpartition(":")
    if not colon or "/" in trial or is_run(run_path(name)):
        run_name, trial = name, "best"
    try:
        run = resolve_run(run_name)
    except RunFolderError as error:
        if not or_untrained:
            raise
        near = difflib.get_close_matches(name, recipes(), n=1, cutoff=0.7)
        hint = f"did you mean '{near[0]}'? list recipes with: tune-ode recipes" if near else error
        if name in get_args(DatasetName):
            hint = f"to train on that data set: --dataset {name}"
        elif name in PRESETS:
            hint = f"a space is searched: tune-ode search --space {name}"
        raise UsageError(
            f"'{name}' is neither a recipe nor a YAML file nor RUN:TRIAL of a run; {hint}"
        ) from None
    read_manifest(run)  # reject other schema versions
    if trial == "best":
        # pandas takes half a second to import
        from analysis.load import load_run
        from analysis.ranking import rank

        ranked = rank(load_run(run)).to_records()
        if not ranked or ranked[0]["rank"] is None:
            raise UsageError(f"{run} has no ranked trial; see: tune-ode rank {run}")
        return run, str(ranked[0]["trial_id"])
    if not trial.isdecimal():
        raise UsageError(f"'{trial}' is not a trial of {run}; give a number, such as 3, or best")
    trial = trial.zfill(4)
    if not is_trial_id(trial) or not (run / TRIALS / trial).is_dir():
        raise UsageError(f"{run} has no trial {trial}; see: tune-ode rank {run}")
    return run, trial
