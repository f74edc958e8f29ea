"""Warm start of a search from an earlier run (`--start-from RUN`).

The search tries the best points of the run first. If both searches are comparable, it also adds the
results of the run to its study, so the sampler starts with all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial, create_trial

from search_spaces import Space, path_of
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.data import Fingerprint
from tune_ode.errors import TuneOdeError, UsageError
from tune_ode.paths import RunPath, persistent_path
from tune_ode.records import Outcome, TrialSpec
from tune_ode.runs.reader import read_ended_trials
from tune_ode.tuning.study.objective import Objective, anytime_value
from tune_ode.tuning.study.open_study import TRAINABLE
from tune_ode.tuning.study.storage import study_hash

BEST_POINTS = 5
"""Points of an earlier run that a search tries first; each costs a trial."""
PRIOR_SOURCE = "warm_start_from"
"""User attribute: the earlier run and trial that measured a result of a warm start."""


@dataclass(frozen=True, kw_only=True)
class PriorResult:
    """Result of an earlier run."""

    params: Mapping[str, Any]
    """A complete point of the space."""
    values: Sequence[float]
    """One value for each direction of the objective."""
    source: str
    """Name of the run and trial."""

    def to_trial(self, space: Space) -> FrozenTrial:
        """Return a finished Optuna trial with this result."""
        point = FixedTrial(dict(self.params))
        space.sample(point)
        return create_trial(
            params=point.params,
            distributions=point.distributions,
            values=list(self.values),
            user_attrs={PRIOR_SOURCE: self.source},
            system_attrs={f"constraints:{TRAINABLE}": 0.0},
        )


def find_run(name: str) -> RunPath | None:
    """Return the run at a path or URL, or None if there is no run.

    Raises:
        RunFolderError: as `persistent_path`, or the object store is unreachable.
    """
    run = persistent_path(name)
    return run if (run / records.MANIFEST).exists() else None


def best_points(path: RunPath, space: Space) -> list[dict[str, Any]]:
    """Return the points of a run with the highest anytime values, best first.

    Args:
        path: run directory.
        space: search space; only points that set all of its parameters are returned.

    Raises:
        UsageError: not a run, or none of its measured trials is in the space.
    """
    manifest = records.read_manifest(path)
    ranked: list[tuple[float, dict[str, Any]]] = []
    for spec, _, reports in read_ended_trials(path):
        longest = max((report.train_seconds for report in reports), default=None)
        value = anytime_value(reports, manifest.trial_seconds or longest)
        point = _point_in(space, spec)
        if value is not None and point is not None:
            ranked.append((value, point))
    if not ranked:
        raise UsageError(
            f"--start-from {path}: none of its measured trials is in the search space; list them "
            "with tune-ode rank, or search a wider space"
        )
    ranked.sort(key=lambda pair: -pair[0])
    best: list[dict[str, Any]] = []
    for _, point in ranked:
        if point not in best:
            best.append(point)
    return best[:BEST_POINTS]


def is_comparable(path: RunPath, expected: str, fingerprint: Fingerprint | None = None) -> bool:
    """Return whether a run has the expected `study_hash` and, if known, the same images."""
    manifest = records.read_manifest(path)
    if None not in (manifest.fingerprint, fingerprint) and manifest.fingerprint != fingerprint:
        return False
    objective = str(manifest.options.get("objective", "anytime"))
    return study_hash(manifest.space, manifest.base, objective) == expected


def prior_results(
    path: RunPath, space: Space, objective: Objective, budget: float | None
) -> Iterator[PriorResult]:
    """Yield the measured trials of a run for `StudyAdapter.warm_start`.

    Values are recomputed from the reports with the trial budget of this search. Stopped trials are
    omitted if their values are not comparable with those of completed ones.

    Args:
        path: directory of a comparable run.
        space: search space.
        objective: objective of this search.
        budget: train_seconds of one trial of this search.
    """
    comparable = {Outcome.COMPLETED} if objective.prunes else {Outcome.COMPLETED, Outcome.STOPPED}
    for spec, outcome, reports in read_ended_trials(path):
        values = objective.values(reports, budget)
        point = _point_in(space, spec)
        if outcome in comparable and values is not None and point is not None:
            yield PriorResult(params=point, values=values, source=f"{path.name}:{spec.trial_id}")


def _point_in(space: Space, spec: TrialSpec) -> dict[str, Any] | None:
    """Return a trial's point if it sets all parameters of a space, else None."""
    try:
        config = TrialConfig.from_dict(spec.config)
        point = space.point(config)
        sampled = space.sample(FixedTrial(point))
    except (ValueError, TuneOdeError):  # a missing parameter, or another version's configuration
        return None
    fields = dotted_paths(config.to_dict())
    inside = all(fields.get(path_of(name)) == value for name, value in sampled.items())
    return point if inside else None
