"""Log targets of a search (`--log-to`), parsed and checked before anything starts.

`clients` imports the packages themselves when the search starts.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from tune_ode.errors import UsageError, redact, suggest_name
from tune_ode.paths import RunPath, expand_home

_PACKAGES = MappingProxyType({"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"})
"""Log target, also the name of the optional dependency → the package that writes to it."""
_FILES = MappingProxyType({"tensorboard": "tensorboard", "mlflow": "mlflow.db", "wandb": "wandb"})
"""Log target → its default file or subdirectory in the run directory."""
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class LogTarget:
    """One value of `--log-to`."""

    name: str
    """`tensorboard`, `mlflow` or `wandb`."""
    target: str | None = None
    """Tracking URI for mlflow, project for wandb; None: the default."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `tensorboard`, `mlflow[:URI]` or `wandb[:PROJECT]`; paths become absolute.

        Raises:
            UsageError: the name or target is invalid, or the package is not installed.
        """
        name, _, target = text.partition(":")
        if name not in _PACKAGES:
            raise UsageError(f"--log-to: {suggest_name('log target', name, _PACKAGES)}")
        if importlib.util.find_spec(_PACKAGES[name]) is None:
            raise UsageError(
                f"--log-to {name} needs a package that is not installed: "
                f"pip install 'tune-ode[{name}]'"
            )
        if target and name == "tensorboard":
            raise UsageError(
                "--log-to tensorboard writes to the run directory and takes no target, "
                f"found '{text}'"
            )
        return cls(name, (_tracking_uri(target) if name == "mlflow" else target) or None)

    def __str__(self) -> str:
        return self.name if self.target is None else f"{self.name}:{self.target}"

    def path(self, run_folder: Path) -> Path:
        """Return its default file or directory in a run directory."""
        return run_folder / _FILES[self.name]

    @property
    def is_external(self) -> bool:
        """Whether it logs to a place outside the run directory."""
        return self.target is not None or self.name == "wandb"


def parse_log_targets(texts: list[str]) -> list[LogTarget]:
    """Parse all values of `--log-to`, without duplicates.

    Raises:
        UsageError: a value is invalid, or one package has two targets.
    """
    targets = list(dict.fromkeys(map(LogTarget.parse, texts)))
    names = [target.name for target in targets]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--log-to {twice[0]} has two targets; give one")
    return targets


def check_log_targets(targets: list[LogTarget], run_folder: RunPath) -> None:
    """Check that targets which write to the run directory have a local one.

    Raises:
        UsageError: the run directory is in an object store.
    """
    for target in targets:
        if not isinstance(run_folder, Path) and not target.is_external:
            raise UsageError(
                f"--log-to {target} writes files to the run directory, and {run_folder} is in an "
                "object store; leave it out, or give mlflow a tracking URI: "
                "--log-to mlflow:http://HOST:5000"
            )


def _tracking_uri(uri: str) -> str:
    """Return the URI with an absolute path."""
    if redact(uri) != uri:
        raise UsageError(
            "--log-to mlflow must not have a password or token, since run.json stores the URI; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or PGPASSWORD for PostgreSQL"
        )
    if uri.startswith(_SQLITE):
        return f"{_SQLITE}{expand_home(uri.removeprefix(_SQLITE)).absolute()}"
    if uri and "://" not in uri and not uri.startswith("databricks"):
        raise UsageError(
            f"--log-to mlflow must be a tracking URI such as http://HOST:5000 or sqlite:///FILE, "
            f"found '{uri}'"
        )
    return uri
