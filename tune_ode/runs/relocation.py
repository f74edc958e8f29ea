"""What a resume can change: where and on what a run executes, not what it measures."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from tune_ode.config import TrialConfig
from tune_ode.config.data import moved_dataset
from tune_ode.data import absolute_dataset, requested_data_folder
from tune_ode.data.paths import DATA_VARIABLE
from tune_ode.errors import UsageError
from tune_ode.paths import RunPath, address
from tune_ode.records import RunManifest
from tune_ode.trust import names_in, require_trust


def changed_options(
    run: RunPath,
    stored: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    used: Collection[str],
    trust: bool,
) -> dict[str, Any]:
    """Return the stored options of a run, with those that a resume changes.

    A data directory that is gone has moved to `TUNE_ODE_DATA`, if that is set.

    Args:
        run: the run.
        stored: options in its `run.json`.
        changes: options that were given to the resume.
        used: names of the options that the command uses.
        trust: whether the user approves what `run.json` names.

    Raises:
        UsageError: another data set, or `run.json` names something that the user did not approve.
    """
    options = {**stored, **changes}
    if "dataset" in changes and isinstance(dataset := stored.get("dataset"), str):
        options["dataset"] = current_dataset(dataset, changes["dataset"])
    data_dir = stored.get("data_dir")
    if "data_dir" not in changes and isinstance(data_dir, str) and not os.path.isdir(data_dir):
        options["data_dir"] = os.environ.get(DATA_VARIABLE) or data_dir
    given = set(changes)
    if options.get("data_dir") == requested_data_folder(None):
        given.add("data_dir")  # the user's environment names it, too
    names = names_in({name: options[name] for name in used if name in options})
    require_trust(address(run.resolve()), names, given=given, trust=trust)
    return options


def run_dataset(manifest: RunManifest) -> str:
    """Return the data set of a run.

    Raises:
        ConfigurationError: the configuration in `run.json` is not valid.
    """
    return TrialConfig.from_dict(manifest.base).data.dataset


def current_dataset(stored: str, given: str | None) -> str:
    """Return where the images of a run are now.

    Args:
        stored: `DataConfig.dataset` of the run.
        given: the option `--dataset`; None: where they were.

    Raises:
        UsageError: another data set.
    """
    given = stored if given is None else absolute_dataset(given)
    if moved_dataset(stored, given) != given:
        raise UsageError(
            f"--dataset must be the data set of the run, {stored}, found {given}; only the path of "
            "an image folder can change: start a new run for other data"
        )
    return given
