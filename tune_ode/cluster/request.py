"""A search that is asked here and run elsewhere: what of its options holds there.

What a name stands for is found on the cluster, so a path must be one that its nodes share; only
`--config` is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from search_spaces.recipes import recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.config.data import FOLDER_PREFIX
from tune_ode.errors import UsageError
from tune_ode.paths import join, require_persistent
from tune_ode.tuning.options import SearchOptions, check_options, run_name
from tune_ode.tuning.study.storage import PASSWORD_VARIABLE

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@|[?&]password=", re.IGNORECASE)
_SQLITE = "sqlite:///"


def run_of(question: SearchOptions) -> str:
    """Check a search that is to run on a cluster, as far as can be done from here.

    Args:
        question: its options, as they were given.

    Returns:
        Its run folder: a path on the cluster, or a URL.

    Raises:
        QuestionError: an option that is wrong, or that means nothing there.
    """
    require_persistent(question.output)
    for option, path in _paths(question):
        if not path.startswith("/") and not _URL.match(path):
            raise UsageError(
                f"{option} {path} is a path on this machine, and the search runs on a cluster: "
                "name an absolute path on storage that all of its nodes share"
            )
    for option, url in _urls(question):
        if _PASSWORD.search(url):
            raise UsageError(
                f"{option} takes no password here, since a cluster shows a job's command line to "
                f"everybody who may ask; set {PASSWORD_VARIABLE} where the cluster is started"
            )
    check_options(question)
    return join(question.output, run_name(question))


def _paths(question: SearchOptions) -> Iterator[tuple[str, str]]:
    """Yield each option that names files, and the path."""
    yield "--output", question.output
    if question.data_dir is not None:
        yield "--data-dir", question.data_dir
    if question.dataset.startswith(FOLDER_PREFIX):
        yield "--dataset", question.dataset.removeprefix(FOLDER_PREFIX)
    if Path(question.space).suffix in YAML_SUFFIXES:
        yield "--space", question.space
    for start in question.start_from:
        if start not in recipes():
            yield "--start-from", start
    for option, url in _urls(question):
        if _SQLITE in url:
            yield option, url.partition(_SQLITE)[2]


def _urls(question: SearchOptions) -> Iterator[tuple[str, str]]:
    """Yield each option that may hold a database's URL, and what it says."""
    if question.storage is not None:
        yield "--storage", question.storage
    for destination in question.log_to:
        yield "--log-to", destination
