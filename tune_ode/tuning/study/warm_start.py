"""What an earlier run learned, for a search that starts from it (`--start-from RUN`).

Its best points are tried first. Where both searches ask the same question, its results are told to
the sampler too, so that its first proposal is as informed as the earlier run's last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from optuna.trial import FixedTrial

from search_spaces import Space, path_of
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import TuneOdeError, UsageError
from tune_ode.paths import RunPath, persistent_path
from tune_ode.records import Outcome, Report, TrialSpec
from tune_ode.runs.reader import manifest_of, trials_of
from tune_ode.tuning.study.objective import Objective, anytime_value
from tune_ode.tuning.study.optuna_study import PriorResult
from tune_ode.tuning.study.storage import study_hash

BEST_POINTS = 5
"""So many points of an earlier run are tried first: each costs a trial."""


def find_run(name: str) -> RunPath | None:
    """Return the run that a name stands for, a folder or a URL; None where it is no run's.

    Raises:
        RunFolderError: as `lasting_place`, or the store cannot be reached.
    """
    run = persistent_path(name)
    return run if (run / records.MANIFEST).exists() else None


def best_points(path: RunPath, space: Space) -> list[dict[str, Any]]:
    """Return the best points of a run that lie in a space, best first by their anytime value.

    Args:
        path: a run folder.
        space: what is to be searched; a point lies in it where it decides every parameter that is
            open there.

    Raises:
        QuestionError: no run, or none of its measured trials lies in the space.
    """
    manifest = manifest_of(path)
    ranked: list[tuple[float, dict[str, Any]]] = []
    for setup, _, lines in trials_of(path):
        value = anytime_value(lines, manifest.trial_seconds or _longest(lines))
        point = _whole_point(setup, space)
        if value is not None and point is not None:
            ranked.append((value, point))
    if not ranked:
        raise UsageError(
            f"--start-from {path}: none of its measured trials lies in the space to be searched; "
            "see its own with: tune-ode rank, or search a wider one"
        )
    ranked.sort(key=lambda pair: -pair[0])
    best: list[dict[str, Any]] = []
    for _, point in ranked:
        if point not in best:
            best.append(point)
    return best[:BEST_POINTS]


def is_comparable(path: RunPath, asked: str) -> bool:
    """Return whether a run's space, data set and objective have this `study_hash`."""
    manifest = manifest_of(path)
    objective = str(manifest.options.get("objective", "anytime"))
    return study_hash(manifest.space, manifest.base, objective) == asked


def prior_results(
    path: RunPath, space: Space, objective: Objective, budget: float | None
) -> Iterator[PriorResult]:
    """Yield a run's measured trials for `Proposals.transfer`.

    Their values are computed anew from the report lines, over this search's budget of a trial.
    A stopped trial is passed over where its value could not be compared with a finished one's.

    Args:
        path: a run folder that asks the same question.
        space: what is searched.
        objective: what is optimized.
        budget: train_seconds of one trial of this search.
    """
    for setup, outcome, lines in trials_of(path):
        measured = (
            (Outcome.COMPLETED,) if objective.prunes else (Outcome.COMPLETED, Outcome.STOPPED)
        )
        values = objective.values(lines, budget)
        point = _whole_point(setup, space)
        if outcome in measured and values is not None and point is not None:
            yield PriorResult(params=point, values=values, source=f"{path.name}:{setup.trial_id}")


def _whole_point(setup: TrialSpec, space: Space) -> dict[str, Any] | None:
    try:
        config = TrialConfig.from_dict(setup.config)
        point = space.point(config)
        decided = space.sample(FixedTrial(point))
    except (ValueError, TuneOdeError):
        return None  # it leaves a parameter open, or another version wrote it
    settings = dotted_paths(config.to_dict())
    lies_in_it = all(settings.get(path_of(name)) == value for name, value in decided.items())
    return dict(point) if lies_in_it else None


def _longest(lines: Sequence[Report]) -> float | None:
    return max((line.train_seconds for line in lines), default=None)
