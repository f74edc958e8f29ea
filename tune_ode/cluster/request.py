"""Checks of a search that is submitted here and runs on a cluster.

Names are resolved on the cluster, so paths must be on storage that its nodes share. Only the file
of `--config` is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from search_spaces.recipes import recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.config.data import FOLDER_PREFIX, is_group_file
from tune_ode.errors import UsageError, redact
from tune_ode.paths import join, require_persistent
from tune_ode.tuning.options import SearchOptions, check_options, run_name
from tune_ode.tuning.study.storage import PASSWORD_VARIABLE

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SQLITE = "sqlite:///"


def check_request(options: SearchOptions) -> str:
    """Check the options of a search for a cluster, as far as possible without the cluster.

    Args:
        options: the options as given on the command line.

    Returns:
        The run directory: a path on the cluster, or a URL.

    Raises:
        UsageError: an option is invalid, or names something on this machine.
    """
    require_persistent(options.output)
    for name, path in _paths(options):
        if not path.startswith("/") and not _URL.match(path):
            raise UsageError(
                f"{name} {path} is a path on this machine, and the search runs on a cluster: "
                "give an absolute path on storage that all of its nodes share"
            )
    for name, url in _urls(options):
        if redact(url) != url:
            raise UsageError(
                f"{name} must not contain a password, since a cluster shows the command line of a "
                f"job to all its users; set {PASSWORD_VARIABLE} where the cluster is started"
            )
    check_options(options)
    return join(options.output, run_name(options))


def _paths(options: SearchOptions) -> Iterator[tuple[str, str]]:
    """Yield the options that name files, with their paths."""
    yield "--output", options.output
    if options.data_dir is not None:
        yield "--data-dir", options.data_dir
    if options.dataset.startswith(FOLDER_PREFIX):
        yield "--dataset", options.dataset.removeprefix(FOLDER_PREFIX)
    if is_group_file(options.groups):
        yield "--groups", options.groups
    if Path(options.space).suffix in YAML_SUFFIXES:
        yield "--space", options.space
    for source in options.start_from:
        if source not in recipes():
            yield "--start-from", source
    for name, url in _urls(options):
        if _SQLITE in url:
            yield name, url.partition(_SQLITE)[2]


def _urls(options: SearchOptions) -> Iterator[tuple[str, str]]:
    """Yield the options that may contain the URL of a database, with their values."""
    if options.storage is not None:
        yield "--storage", options.storage
    for target in options.log_to:
        yield "--log-to", target
