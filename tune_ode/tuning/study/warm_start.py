"""Warm start of a search from an earlier run (`--start-from RUN`).

The search tries the best points of the run first. It also adds to its study the results of the run
that it could have measured itself, so the sampler starts with them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial, create_trial

from analysis.curves import INSTANTS_PER_DECADE
from search_spaces import Space, configure, path_of
from search_spaces.recipes import recipes
from tune_ode import records
from tune_ode.catalog import find as catalog
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.data import Fingerprint
from tune_ode.errors import ConfigurationError, TuneOdeError, UsageError
from tune_ode.paths import RunPath
from tune_ode.records import Outcome, Report, TrialSpec
from tune_ode.runs.reader import read_ended_trials
from tune_ode.text import pluralize
from tune_ode.tuning.study.objective import Objective, anytime_value
from tune_ode.tuning.study.open_study import TRAINABLE

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
    """Return the run of a name of `--start-from`, or None if it is a recipe or file.

    Raises:
        RunFolderError: as `tune_ode.catalog.find.find_run`.
    """
    return None if name in recipes() else catalog.find_run(name, persistent=True)


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
            params = {name: value for name, value in point.items() if name in space.names}
            ranked.append((value, params))
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


@dataclass(frozen=True)
class PriorResults:
    """Results of an earlier run for the study of a search."""

    kept: list[PriorResult]
    omitted: Counter[str]
    """Why trials are not comparable → their number."""

    def __str__(self) -> str:
        total = len(self.kept) + self.omitted.total()
        text = f"the sampler knows {len(self.kept)} of its {pluralize(total, 'result')}"
        reasons = ", ".join(f"{number} {reason}" for reason, number in self.omitted.most_common())
        return f"{text}; not comparable: {reasons}" if reasons else text


def prior_results(
    path: RunPath,
    space: Space,
    base: TrialConfig,
    objective: Objective,
    budget: float | None,
    fingerprint: Fingerprint | None = None,
    per_decade: int = INSTANTS_PER_DECADE,
) -> PriorResults:
    """Return the results of a run that this search could have measured, with any seed.

    The space of the run may be another one: what it fixed may be searched now, and the reverse. A
    trial is comparable if this space contains its point and sets its whole configuration. Values
    are recomputed from the reports, for the objective and the trial budget of this search.

    Args:
        path: directory of the earlier run.
        space: space of this search.
        base: configuration that its values are set on.
        objective: its objective.
        budget: train_seconds of one of its trials.
        fingerprint: of its images; None: unknown.
        per_decade: its report instants per decade.
    """
    manifest = records.read_manifest(path)
    before, trial_seconds = manifest.fingerprint, manifest.trial_seconds or math.inf
    hint = f" (--trial-seconds {trial_seconds:.4g} keeps them)" * math.isfinite(trial_seconds)
    instants = manifest.options.get("instants_per_decade", INSTANTS_PER_DECADE)
    known = None not in (before, fingerprint)
    same_budget = math.isclose(trial_seconds, budget or math.inf, rel_tol=0.01)
    found = PriorResults([], Counter())
    for spec, outcome, reports in read_ended_trials(path):
        values, point = objective.values(reports, budget), _point_in(space, spec)
        if known and before != fingerprint:
            reason = "with other images"
        elif outcome not in (Outcome.COMPLETED, Outcome.STOPPED):
            reason = str(outcome)
        elif instants != per_decade:
            reason = f"reported at other instants (--instants-per-decade {instants} keeps them)"
        elif values is None:
            reason = "without an accuracy"
        elif point is None:
            reason = "outside the space"
        elif differing := _differing(spec, base, point, same_images=known):
            reason = f"with another {differing}"
        elif objective.prunes and outcome is Outcome.STOPPED:
            reason = "stopped early"
        elif not (same_budget or _fits_both(spec, outcome, reports[-1], budget)):
            reason = f"trained for another budget{hint}"
        else:
            source = f"{path.name}:{spec.trial_id}"
            params = {name: value for name, value in point.items() if name in space.names}
            found.kept.append(PriorResult(params=params, values=values, source=source))
            continue
        found.omitted[reason] += 1
    return found


def _differing(
    spec: TrialSpec, base: TrialConfig, point: Mapping[str, Any], *, same_images: bool
) -> str | None:
    """Return a field, other than seeds, that this search would set to another value, or None."""
    ignored = {"seed", "data.split_seed"} | ({"data.dataset"} if same_images else set())
    if base.training.horizon is None:  # each trial chooses its own
        ignored.add("training.horizon")
    before = dotted_paths(TrialConfig.from_dict(spec.config).to_dict())
    try:
        now = dotted_paths(configure(base, point).to_dict())
    except ConfigurationError:  # the search rejects the point
        return "configuration"
    return next(
        (
            path
            for path in before | now
            if path not in ignored and before.get(path) != now.get(path)
        ),
        None,
    )


def _fits_both(spec: TrialSpec, outcome: Outcome, last: Report, budget: float | None) -> bool:
    """Return whether all epochs of a trial fit its budget, and that of this search, too.

    Otherwise its schedule ended with its budget, and this search would choose another horizon.
    """
    epochs = TrialConfig.from_dict(spec.config).training.epochs
    whole = round(last.batches / last.epoch) * epochs
    seconds = last.train_seconds * last.horizon / last.batches
    ended = outcome is Outcome.STOPPED or last.batches >= last.horizon
    return ended and last.horizon >= whole and (budget is None or seconds <= budget)


def _point_in(space: Space, spec: TrialSpec) -> dict[str, Any] | None:
    """Return a trial's point, fixed values included, if it is in a space, else None."""
    try:
        config = TrialConfig.from_dict(spec.config)
        sampled = space.sample(FixedTrial(space.point(config)))
    except (ValueError, TuneOdeError):  # a missing parameter, or another version's configuration
        return None
    fields = dotted_paths(config.to_dict())
    inside = all(fields.get(path_of(name)) == value for name, value in sampled.items())
    return sampled if inside else None
