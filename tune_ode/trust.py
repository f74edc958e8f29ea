"""Approval of what a file names: code to run, servers to connect to, directories to write to.

A run directory and a YAML file are data, which may come from someone else. Such a name in them
counts only if the user repeats it on the command line or approves it once, with `--trust`. An
approval holds for this path and these names, for this user on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tune_ode.errors import UsageError

RAY_TOKEN_FILE = "~/.ray/auth_token"
"""Where Ray looks for a token if no variable names one."""


def _always(value: str) -> bool:
    return True


def _is_code(value: str) -> bool:
    return ":" in value


_NAMES_SOMETHING: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "sampler": _is_code,
        "samplers": _is_code,
        "space": _is_code,
        "notify": _always,
        "storage": _always,
        "address": lambda value: value != "local",
        "log_to": lambda value: ":" in value or value == "wandb",
        "start_from": lambda value: "://" in value,
        "data_dir": _always,
    }
)
"""Option → whether a value makes a command run code, connect to a server, or write to a directory
outside the run."""
_SERVERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "storage": ("TUNE_ODE_STORAGE_PASSWORD", "PGPASSWORD"),
        "log_to": (
            "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "PGPASSWORD",
        ),
        "address": ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"),
    }
)  # fmt: skip
"""Option that names a server → environment variables of credentials that are sent to it."""

Names = Mapping[str, list[str]]
"""Option → the values of it that name something."""


def names_in(options: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the options, with their values, that need an approval if a file names them."""
    found = {}
    for option, is_name in _NAMES_SOMETHING.items():
        value = options.get(option)
        values = value if isinstance(value, list) else [value]
        if named := [text for one in values if one is not None and is_name(text := str(one))]:
            found[option] = named
    return found


def require_trust(source: str, names: Names, *, given: Collection[str] = (), trust: bool) -> None:
    """Check that the user has approved what a file names, and remember it.

    Args:
        source: absolute path or URL of the run or file.
        names: what it names, and what was given instead; see `names_in`.
        given: options that are on the command line.
        trust: whether the user approves the rest now.

    Raises:
        UsageError: something was neither given nor approved, or a server was never given that
            would receive a password or token of the environment.
    """
    named = {option: values for option, values in names.items() if option not in given}
    unknown = {
        option: rest
        for option, values in named.items()
        if (rest := [value for value in values if not _is_marked([source, option, value])])
    }
    if unknown and not trust:
        raise UsageError(
            f"{source} names {_listed(unknown)}, and may come from someone else; if you trust it, "
            "add --trust, which is needed once" + _repeatable(unknown)
        )
    for option, server, variable in _servers(named):
        if not _is_marked([option, server]):
            raise UsageError(
                f"{source} names {_listed({option: named[option]})}, which would receive the "
                f"{variable} of this machine; if it is meant for this server, repeat "
                f"{_option(option)}"
            )
    remember(source, names, given=given)


def remember(source: str, names: Names, *, given: Collection[str] | None = None) -> None:
    """Remember that the user gave or approved these names; without effect if it cannot be stored.

    Args:
        source: absolute path or URL of the run or file.
        names: see `names_in`.
        given: options whose servers the user named personally; None: all.
    """
    contents = [[source, option, value] for option in names for value in names[option]]
    own = {o: values for o, values in names.items() if given is None or o in given}
    contents += [[option, server] for option, server, _ in _servers(own, always=True)]
    # a home directory that cannot be written: `--trust` is needed each time
    with contextlib.suppress(OSError):
        for content in contents:
            marker = _marker(content)
            marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with open(file, "w", errors="backslashreplace") as stream:
                stream.write(json.dumps(content) + "\n")


def has_ray_token() -> bool:
    """Return whether Ray would find a token in the environment or the home directory."""
    given = any(os.environ.get(variable) for variable in _SERVERS["address"])
    return given or os.path.exists(os.path.expanduser(RAY_TOKEN_FILE))


def _servers(names: Names, *, always: bool = False) -> Iterator[tuple[str, str, str]]:
    """Yield option, server and credential for each server that would receive a credential."""
    for option, variables in _SERVERS.items():
        credentials = [variable for variable in variables if os.environ.get(variable)]
        if option == "address" and not credentials and has_ray_token():
            credentials = [RAY_TOKEN_FILE]
        for value in names.get(option, ()) if credentials or always else ():
            if server := _server(option, value):
                yield option, server, next(iter(credentials), "")


def _server(option: str, value: str) -> str:
    """Return what of a value decides which server is contacted; empty: none."""
    if option == "address":
        return "" if value == "auto" else value
    parts = urlsplit(value.partition(":")[2] if option == "log_to" else value)
    # the options of a database URL can name another host
    return f"{parts.scheme}://{parts.netloc}?{parts.query}" if parts.netloc or parts.query else ""


def _marker(content: Any) -> Path:
    """Return the file whose existence approves something; it holds what was approved."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):
        folder = os.path.expanduser("~/.config")
    if not os.path.isabs(folder):  # no home directory: nothing can be stored
        folder = os.devnull
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return Path(folder, "tune-ode", "trusted", f"{digest}.json")


def _is_marked(content: Any) -> bool:
    return os.path.exists(_marker(content))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _listed(names: Names) -> str:
    # the value of `notify` may be a secret
    texts = [
        option if option == "notify" else f"{option} {v}" for option in names for v in names[option]
    ]
    return ", ".join(texts)


def _repeatable(names: Names) -> str:
    options = [_option(name) for name in names if name in (*_SERVERS, "data_dir")]
    return f", or repeat {' and '.join(options)}" if options else ""
