"""What `confirm` trains again, and where: all is checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from analysis.load import Run, load_run
from analysis.rank import rank
from analysis.ranking import Ranking
from tune_ode.config import TrialConfig
from tune_ode.data import load
from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.paths import RunPath, shell_quoted
from tune_ode.records import CONFIRM, DEFAULT, MANIFEST, read_manifest
from tune_ode.replication.plan import Candidate, TrainingPlan
from tune_ode.tuning.search.asha import AshaScheduler
from tune_ode.tuning.search.limits import REPORT_TIMEOUT_SECONDS

DEFAULT_TOP = 5
DEFAULT_SEEDS = 5
FIRST_SEED = 500_000
"""From a run's first seed to the first of its confirmation: a search counts up from the former, one
a trial, and has a million for itself."""


@dataclass(frozen=True, kw_only=True)
class ConfirmPlan(TrainingPlan):
    """Which configurations are trained again, with which seeds, on what.

    Its candidates stand best first; the default configuration last, if it is none of them. It
    reports as the search did: a training that reports more often is found to be faster.
    """

    run: Run
    ranking: Ranking
    path: RunPath
    """The run's folder."""
    top: int
    default: str
    """`confirms` of the space's default configuration."""

    @property
    def folder(self) -> RunPath:
        """Where the confirmation is kept."""
        return self.path / CONFIRM

    @property
    def budget_seconds(self) -> float | None:
        """`train_seconds` of each training."""
        return self.run.manifest.trial_seconds

    @property
    def report_timeout(self) -> float | None:
        """A training without a word for so long is stuck."""
        asked = self.run.manifest.options.get("trial_timeout")
        if asked is None and self.budget_seconds is not None:
            return 2 * self.budget_seconds + REPORT_TIMEOUT_SECONDS
        return asked

    @property
    def resume_command(self) -> str:
        """The command that continues it."""
        return f"tune-ode confirm {shell_quoted(self.path)}"


def plan_confirmation(
    folder: RunPath,
    *,
    top: int | None = None,
    seeds: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> ConfirmPlan:
    """Choose what to train again; load the data, which builds the node's cache.

    Args:
        folder: the run.
        top: how many of its best trials; None: as many as before, at first 5.
        seeds: trainings of each, at least 2; None: likewise.
        progress: told what is being prepared, and the share done in [0, 1].

    Raises:
        QuestionError: no run, none of its trials has a rank, or its data or device are not here.
    """
    run = load_run(folder)
    asked = _asked_before(folder)
    top = top or asked.get("top") or DEFAULT_TOP
    seeds = seeds or asked.get("seeds") or DEFAULT_SEEDS
    ranking = rank(run)
    ranked = [
        row["trial_id"]
        for row in ranking.to_records()
        if row["rank"] is not None and row["device"] == ranking.devices[0]
    ]
    if not ranked:
        raise UsageError(
            f"{folder} has no ranked trial to confirm; see why with: tune-ode rank {folder}"
        )
    question = run.manifest.options
    resources = plan_resources(
        local_machine(),
        cpus_per_trial=question.get("cpus_per_trial"),
        # a whole one, whatever share a trial of the search had: nobody else is to use it
        gpus_per_trial=float(ranking.devices[0] != "cpu"),
        max_concurrent=1,
    )
    base = TrialConfig.from_dict(run.manifest.base)
    candidates, default = _candidates(run, ranked, base, top)
    data_dir = question.get("data_dir")
    load(base.data, Path(data_dir) if data_dir else None, progress=progress)
    rungs = AshaScheduler.create(question.get("scheduler", "seconds"), run.manifest.trial_seconds)
    return ConfirmPlan(
        run=run,
        ranking=ranking,
        path=folder,
        top=top,
        candidates=candidates,
        default=default,
        seeds=_fresh_seeds(run, base.seed, seeds),
        resources=resources,
        data_dir=data_dir,
        report_instants=rungs.milestones,
    )


def _asked_before(folder: RunPath) -> dict[str, Any]:
    before = folder / CONFIRM
    return read_manifest(before).options if (before / MANIFEST).exists() else {}


def _candidates(
    run: Run, ranked: Sequence[str], base: TrialConfig, top: int
) -> tuple[tuple[Candidate, ...], str]:
    """Return the best different configurations, and the default one; and the latter's name."""
    rows = run.trials.set_index("trial_id")[["config", "params"]].to_dict("index")
    found: dict[TrialConfig, Candidate] = {}
    for trial_id in ranked:
        if len(found) == top:
            break
        config = _unseeded(TrialConfig.from_dict(rows[trial_id]["config"]))
        params = rows[trial_id]["params"]
        found.setdefault(config, Candidate(confirms=trial_id, config=config, params=params))
    default = _unseeded(base)
    if default not in found:
        # a search tries it first, so that it has most often a trial, if not one of the best
        names = [
            str(trial_id)
            for trial_id, row in rows.items()
            if _unseeded(TrialConfig.from_dict(row["config"])) == default
        ]
        name = names[0] if names else DEFAULT
        params = rows[name]["params"] if names else {}
        found[default] = Candidate(confirms=name, config=default, params=params)
    return tuple(found.values()), found[default].confirms


def _unseeded(config: TrialConfig) -> TrialConfig:
    return config.model_copy(update={"seed": 0})


def _fresh_seeds(run: Run, first: int, many: int) -> tuple[int, ...]:
    """Return the first seeds after `FIRST_SEED` that no trial of the search had."""
    used = {config.get("seed") for config in run.trials["config"]}
    seeds = ((first + FIRST_SEED + number) % 2**63 for number in count(1))
    return tuple(islice((seed for seed in seeds if seed not in used), many))
