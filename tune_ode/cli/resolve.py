"""What names on the command line stand for: a recipe, a YAML file, RUN:TRIAL, NAME=VALUE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_spaces.recipes import recipe, recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import parse_yaml
from tune_ode.errors import UsageError
from tune_ode.paths import RunPath, run_path
from tune_ode.records import CONFIG, MANIFEST, TRIALS, read_json, read_manifest
from tune_ode.tuning.study.initial_configs import config_from_yaml


def resolve_config(name: str) -> TrialConfig:
    """Return the configuration that a recipe, a YAML file, or a trial as RUN:TRIAL, holds.

    Raises:
        QuestionError: no such recipe, file or trial, or no valid configuration in it.
    """
    if Path(name).suffix in YAML_SUFFIXES:
        return config_from_yaml(Path(name))
    if name in recipes():
        return recipe(name)
    run, trial_id = resolve_trial(name, or_untrained=True)
    setup = read_json(run / TRIALS / trial_id / CONFIG)
    if setup is None:
        raise UsageError(f"{run} has no trial {trial_id}; see: tune-ode rank {run}")
    return TrialConfig.from_dict(setup["config"])


def is_config_name(name: str) -> bool:
    """Return whether a name stands for a recipe or a YAML file, and not for RUN:TRIAL."""
    return Path(name).suffix in YAML_SUFFIXES or name in recipes()


def resolve_trial(name: str, *, or_untrained: bool = False) -> tuple[RunPath, str]:
    """Return the run's place and the trial id that RUN:TRIAL stands for, split at the last colon.

    TRIAL is an id, with or without its zeros, or `best`; RUN alone is RUN:best.

    Args:
        name: what was typed.
        or_untrained: whether a recipe or a YAML file could have stood there, for the error.

    Raises:
        QuestionError: no such run or trial.
    """
    run_name, colon, trial = name.rpartition(":")
    if not colon or (run_path(name) / MANIFEST).exists():
        run_name, trial = name, "best"
    run = run_path(run_name)
    if not (run / MANIFEST).exists():
        kinds = f"neither a recipe ({', '.join(recipes())}) nor a YAML file nor"
        raise UsageError(
            f"'{name}' is {kinds if or_untrained else 'not'} RUN:TRIAL with RUN a run folder; "
            f"there is no {run / MANIFEST}"
        )
    read_manifest(run)  # rejects other schema versions
    if trial == "best":
        # pandas takes half a second to import, and only this needs it
        from analysis.load import load_run
        from analysis.rank import rank

        ranked = rank(load_run(run)).to_records()
        if not ranked or ranked[0]["rank"] is None:
            raise UsageError(f"{run} has no ranked trial; see: tune-ode rank {run}")
        return run, str(ranked[0]["trial_id"])
    trial = trial.zfill(4)
    if not (run / TRIALS / trial).is_dir():
        raise UsageError(f"{run} has no trial {trial}; see: tune-ode rank {run}")
    return run, trial


def parse_fix(assignments: list[str] | None, precision: str | None = None) -> dict[str, Any]:
    """Return the settings that `--fix NAME=VALUE` options give; values are read as YAML.

    `--precision` is a setting like the others, with a name of its own since it is asked for often.

    Raises:
        QuestionError: an option without a name or an equals sign.
    """
    fixed = {
        name: parse_yaml(value, f"--fix {name}")
        for name, value in parse_assignments("--fix", assignments).items()
    }
    for name, value in fixed.items():
        if isinstance(value, dict):
            raise UsageError(f"--fix {name} takes a value or a list of numbers, found {value}")
    if precision is not None:
        fixed["execution.precision"] = precision
    return fixed


def parse_assignments(option: str, assignments: list[str] | None) -> dict[str, str]:
    """Return what NAME=TEXT assignments say, by name; the last of a name wins.

    Raises:
        QuestionError: an assignment without a name or an equals sign.
    """
    found = {}
    for assignment in assignments or []:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} takes NAME=VALUE, found '{assignment}'")
        found[name.strip()] = text.strip()
    return found
