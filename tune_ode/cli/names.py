"""What names on the command line stand for: RUN:TRIAL, a YAML file, NAME=VALUE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from analysis.load import load_run
from analysis.rank import rank
from tune_ode.config import TrialConfig
from tune_ode.errors import QuestionError
from tune_ode.records import CONFIG, MANIFEST, TRIALS, read_json


def configuration(name: str) -> TrialConfig:
    """Return the configuration that a YAML file, or a trial as RUN:TRIAL, holds.

    Raises:
        QuestionError: no such file or trial, or no valid configuration in it.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise QuestionError(f"cannot read {path}: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise QuestionError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise QuestionError(f"{path} must hold settings by name, such as `seed: 1`")
        return TrialConfig.from_dict(values)
    run, trial_id = run_and_trial(name)
    setup = read_json(run / TRIALS / trial_id / CONFIG)
    if setup is None:
        raise QuestionError(f"{run} has no trial {trial_id}; see: tune-ode rank {run}")
    return TrialConfig.from_dict(setup["config"])


def run_and_trial(name: str) -> tuple[Path, str]:
    """Return the run folder and trial id that RUN:TRIAL stands for, split at the last colon.

    TRIAL is an id, with or without its zeros, or `best`; RUN alone is RUN:best.

    Raises:
        QuestionError: no such run or trial.
    """
    run_name, colon, trial = name.rpartition(":")
    if not colon or (Path(name) / MANIFEST).exists():
        run_name, trial = name, "best"
    run = Path(run_name)
    if not (run / MANIFEST).exists():
        raise QuestionError(
            f"'{name}' is neither a YAML file nor RUN:TRIAL with RUN a run folder; "
            f"there is no {run / MANIFEST}"
        )
    if trial == "best":
        ranked = rank(load_run(run)).to_records()
        if not ranked or ranked[0]["rank"] is None:
            raise QuestionError(f"{run} has no ranked trial; see: tune-ode rank {run}")
        return run, str(ranked[0]["trial_id"])
    trial = trial.zfill(4)
    if not (run / TRIALS / trial).is_dir():
        raise QuestionError(f"{run} has no trial {trial}; see: tune-ode rank {run}")
    return run, trial


def fixed_settings(assignments: list[str] | None, precision: str | None = None) -> dict[str, Any]:
    """Return the settings that `--fix NAME=VALUE` options give; values are read as YAML.

    `--precision` is a setting like the others, with a name of its own since it is asked for often.

    Raises:
        QuestionError: an option without a name or an equals sign.
    """
    fixed = {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise QuestionError(f"--fix takes NAME=VALUE, found '{assignment}'")
        try:
            fixed[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise QuestionError(f"--fix {name}: '{value}' is no value in YAML") from None
    if precision is not None:
        fixed["execution.precision"] = precision
    return fixed
