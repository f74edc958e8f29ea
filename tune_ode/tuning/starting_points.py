"""Configurations known to be good, which a search tries first: `--start-from`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_spaces.finding import YAML_SUFFIXES
from search_spaces.recipes import recipe, recipes
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import QuestionError, unknown_name
from tune_ode.records import CONFIG, MANIFEST, TRIALS, read_json

BEST_OF_A_RUN = 5
"""Trials of an earlier run that a new one starts from."""


def starting_points(name: str) -> list[dict[str, Any]]:
    """Return configurations to start from, as plain dicts, the best first.

    Args:
        name: of a recipe; or the path of a YAML file or of a run folder.

    Raises:
        QuestionError: there is none of that name, or it is no valid configuration.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        return [configuration_of(path).to_dict()]
    if name in recipes():
        return [recipe(name).to_dict()]
    if (path / MANIFEST).is_file():
        return _best_of(path)
    raise QuestionError(
        f"no recipe or run of that name: {unknown_name('recipe', name, recipes())}, a file.yaml, "
        "or a run's folder"
    )


def configuration_of(path: Path) -> TrialConfig:
    """Return the configuration that a YAML file holds.

    Raises:
        QuestionError: no such file, or no valid configuration in it; names the file.
    """
    values = read_yaml(path)
    try:
        return TrialConfig.from_dict(values)
    except QuestionError as error:
        raise QuestionError(f"{path}: {error}") from None


def _best_of(run: Path) -> list[dict[str, Any]]:
    # pandas takes half a second to import, and only this needs it
    from analysis.load import load_run
    from analysis.rank import rank

    ranked = [row for row in rank(load_run(run)).to_records() if row["rank"] is not None]
    if not ranked:
        raise QuestionError(f"{run} has no ranked trial; see: tune-ode rank {run}")
    found = (read_json(run / TRIALS / row["trial_id"] / CONFIG) for row in ranked[:BEST_OF_A_RUN])
    return [setup["config"] for setup in found if setup is not None]
