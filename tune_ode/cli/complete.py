"""Values that the shell completes: data sets, spaces, recipes, runs and trials.

A completion must answer while a user types, so neither torch, Ray nor pandas are imported.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import get_args

Found = list[tuple[str, str]]
"""Values with a description, which some shells show."""
_IN_BASH = ("_TUNE_ODE_COMPLETE", "complete_bash")
_BREAKS = ":="


def _completion(find: Callable[[str], Found]) -> Callable[[str], Found]:
    """Find nothing where there is an error: the command reports it."""

    @functools.wraps(find)
    def quiet(incomplete: str) -> Found:
        try:
            return find(incomplete)
        except Exception:
            return []

    return quiet


@_completion
def datasets(incomplete: str) -> Found:
    """Return the names of data sets."""
    from tune_ode.config.data import FOLDER_PREFIX, DatasetName

    return [*((name, "") for name in get_args(DatasetName)), (FOLDER_PREFIX, "a folder of images")]


@_completion
def spaces(incomplete: str) -> Found:
    """Return the names of search spaces."""
    from search_spaces import PRESETS

    return [(name, description) for name, (_, description) in PRESETS.items()]


@_completion
def recipes(incomplete: str) -> Found:
    """Return the names of recipes."""
    from search_spaces.recipes import recipes, summary

    return [(name, summary(name)) for name in recipes()]


@_completion
def runs(incomplete: str) -> Found:
    """Return the names of runs in runs/, or in the folder of a path; a URL is not listed."""
    from tune_ode.catalog.find import LATEST, RUNS, runs_in

    if "://" in incomplete:
        return []
    folder, slash, _ = incomplete.rpartition("/")
    found = runs_in(Path(f"{folder}/" if slash else RUNS))
    described = [
        (f"{folder}{slash}{run.name}", f"{manifest.get('state', 'unreadable')}")
        for run, manifest in found
    ]
    return described + [(f"{folder}{slash}{LATEST}", "the run started last")] * bool(found)


@_completion
def trials(incomplete: str) -> Found:
    """Return the trials of RUN: as RUN:TRIAL, or runs where there is no colon yet."""
    from tune_ode.catalog.find import find_run
    from tune_ode.records import TRIALS, trial_paths

    run, colon, _ = incomplete.rpartition(":")
    if not colon or "://" in incomplete:
        return runs(incomplete)
    if (folder := find_run(run)) is None:
        return []
    ids = [path.name for path in trial_paths((folder / TRIALS).iterdir())]
    return [(f"{run}:best", "the first of the ranking"), *((f"{run}:{name}", "") for name in ids)]


def configurations(incomplete: str) -> Found:
    """Return recipes, and trials of runs."""
    return recipes(incomplete) + trials(incomplete)


def starts(incomplete: str) -> Found:
    """Return recipes and runs."""
    return recipes(incomplete) + runs(incomplete)


@contextmanager
def words_of_bash(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Join RUN:TRIAL and NAME=VALUE, which bash splits, while it asks for completions.

    Bash replaces what follows the last colon or equals sign, so that the part up to it is removed
    from the completions that are printed in the block.
    """
    variable, request = _IN_BASH
    if environment.get(variable) != request or "COMP_WORDS" not in environment:
        yield
        return
    words = environment["COMP_WORDS"].split("\n")[: int(environment["COMP_CWORD"]) + 1]
    joined: list[str] = []
    joins = False
    for word in words:
        is_break = bool(word) and not word.strip(_BREAKS)
        if len(joined) > 1 and (is_break or joins):
            joined[-1] += word
        else:
            joined.append(word)
        joins = is_break
    last = joined[-1]
    kept = max(last.rfind(sign) for sign in _BREAKS) + 1 if len(joined) < len(words) else 0
    environment["COMP_WORDS"] = "\n".join(joined)
    environment["COMP_CWORD"] = str(len(joined) - 1)
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            print(line.removeprefix(last[:kept]))
