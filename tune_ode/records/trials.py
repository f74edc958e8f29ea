"""Read the files of trials: what is valid in them, and what had to be passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from tune_ode.records.access import File
from tune_ode.records.evaluation import Confirmation
from tune_ode.records.files import read_record, read_reports
from tune_ode.records.layout import CONFIG, OUTCOME, REPORTS
from tune_ode.records.record import InvalidRecord
from tune_ode.records.schema import Report, TrialResult, TrialSpec

_TRIAL_ID = re.compile(r"[0-9]{4,9}")


class TrialPath(Protocol):
    """The directory of a trial: a `Path` or a `RemotePath`."""

    @property
    def name(self) -> str:
        """The trial's id."""

    def __truediv__(self, name: str, /) -> File:
        """Return a file in the directory."""


_R = TypeVar("_R", Report, TrialSpec, TrialResult, Confirmation)
_P = TypeVar("_P", bound=TrialPath)


def is_trial_id(name: str) -> bool:
    """Return whether a name is that of a trial.

    >>> is_trial_id("0001"), is_trial_id("²"), is_trial_id("../0001")
    (True, False, False)
    """
    return _TRIAL_ID.fullmatch(name) is not None


def trial_paths(directories: Iterable[_P]) -> list[_P]:
    """Return the directories of trials, by id."""
    found = [path for path in directories if is_trial_id(path.name)]
    return sorted(found, key=lambda path: (int(path.name), path.name))  # 10000 after 9999


@dataclass(frozen=True)
class TrialFiles:
    """What the files of a trial hold."""

    spec: TrialSpec | None
    """None if it was killed before its configuration was written, or the file is not valid; its
    other files are not read then."""
    reports: list[Report]
    result: TrialResult | None
    """None if it has not ended, or the file is not valid."""
    passed_over: list[str]
    """One line on each file that holds something else."""


def read_trial(trial: TrialPath) -> TrialFiles:
    """Return what is valid in the files of a trial."""
    reader = TrialReader(trial)
    spec = reader.record(CONFIG, TrialSpec)
    reports = [] if spec is None else reader.reports()
    result = None if spec is None else reader.record(OUTCOME, TrialResult)
    return TrialFiles(spec, reports, result, reader.passed_over)


class TrialReader:
    """Reads the files of one trial, whose id is the name of its directory, whatever they say."""

    def __init__(self, trial: TrialPath) -> None:
        self.passed_over: list[str] = []
        """One line on each file that holds something else."""
        self._trial = trial

    def record(self, name: str, record: type[_R]) -> _R | None:
        """Return the record in a file; None if there is none or it is not valid."""
        with self._passing_over(name):
            found = read_record(self._trial / name, record)
            return None if found is None else self._named(found)
        return None

    def reports(self) -> list[Report]:
        """Return the valid reports, in the order of the file."""
        with self._passing_over(REPORTS):
            invalid: list[str] = []
            found = read_reports(self._trial / REPORTS, invalid)
            for problem in invalid:
                self._note(REPORTS, problem)
            return [self._named(report) for report in found]
        return []

    def _named(self, record: _R) -> _R:
        return (
            record
            if record.trial_id == self._trial.name
            else replace(record, trial_id=self._trial.name)
        )

    @contextmanager
    def _passing_over(self, name: str) -> Iterator[None]:
        try:
            yield
        except InvalidRecord as error:
            self._note(name, str(error))
        except OSError as error:
            self._note(name, str(error.strerror))

    def _note(self, name: str, problem: str) -> None:
        self.passed_over.append(f"{self._trial.name}/{name} ({problem})")
