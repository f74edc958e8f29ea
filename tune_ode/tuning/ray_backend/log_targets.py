"""Where else a search writes what it measures: `--log-to`, checked before anything starts.

Ray, and the packages themselves, are imported by `ray_loggers` when the search begins.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from tune_ode.errors import UsageError, suggest_name
from tune_ode.paths import RunPath

_PACKAGES = MappingProxyType({"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"})
"""Destination, and extra of this package → the package that writes to it."""
_FOLDERS = MappingProxyType({"tensorboard": "tensorboard", "mlflow": "mlflow.db", "wandb": "wandb"})
"""Destination → its file or folder in the run's, where nothing else is named."""
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class LogTarget:
    """One `--log-to`."""

    name: str
    """`tensorboard`, `mlflow` or `wandb`."""
    target: str | None = None
    """mlflow: its tracking URI; wandb: the project; None: the default."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `tensorboard`, `mlflow[:URI]` or `wandb[:PROJECT]`; paths become absolute.

        Raises:
            QuestionError: an unknown name, a target that it cannot have, or its package is missing.
        """
        name, _, target = text.partition(":")
        if name not in _PACKAGES:
            raise UsageError(f"--log-to: {suggest_name('destination', name, _PACKAGES)}")
        if importlib.util.find_spec(_PACKAGES[name]) is None:
            raise UsageError(
                f"--log-to {name} needs a package that is not installed: "
                f"pip install 'tune-ode[{name}]'"
            )
        if target and name == "tensorboard":
            raise UsageError(
                f"--log-to tensorboard writes to the run folder and takes no target, found '{text}'"
            )
        return cls(name, (_tracking_uri(target) if name == "mlflow" else target) or None)

    def __str__(self) -> str:
        return self.name if self.target is None else f"{self.name}:{self.target}"

    def place(self, run_folder: Path) -> Path:
        """Return the file or folder in the run's that it fills, where no target is named."""
        return run_folder / _FOLDERS[self.name]

    @property
    def sends(self) -> bool:
        """Whether what it is told goes elsewhere, and not only to the run folder."""
        return self.target is not None or self.name == "wandb"


def parse_log_targets(texts: list[str]) -> list[LogTarget]:
    """Read every `--log-to`, each of them once.

    Raises:
        QuestionError: as `Destination.parse`; or one is named with two targets.
    """
    found = list(dict.fromkeys(map(LogTarget.parse, texts)))
    names = [destination.name for destination in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--log-to {twice[0]} is given with two targets; name one")
    return found


def check_log_targets(destinations: list[LogTarget], run_folder: RunPath) -> None:
    """Refuse what would write files into a run folder that is none of this machine's.

    Raises:
        QuestionError: names it.
    """
    for destination in destinations:
        if not isinstance(run_folder, Path) and not destination.sends:
            raise UsageError(
                f"--log-to {destination} writes files to the run folder, and {run_folder} is in an "
                "object store; leave it out, or give mlflow a tracking URI: "
                "--log-to mlflow:http://HOST:5000"
            )


def _tracking_uri(uri: str) -> str:
    """Return the URI as it holds from any folder; a password in it would end up in run.json."""
    if re.match(r"[^:/]+://[^/@]*:[^/@]*@", uri):
        raise UsageError(
            "--log-to mlflow takes no password in its URI, since run.json keeps that; put it in "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or for PostgreSQL in PGPASSWORD"
        )
    if uri.startswith(_SQLITE):
        return f"{_SQLITE}{Path(uri.removeprefix(_SQLITE)).expanduser().absolute()}"
    if uri and "://" not in uri and not uri.startswith("databricks"):
        raise UsageError(
            f"--log-to mlflow takes a tracking URI such as http://HOST:5000 or sqlite:///FILE, "
            f"found '{uri}'"
        )
    return uri
