"""Plan of `confirm`: the best configurations of a run, trained again with fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from analysis.curves import report_instants
from analysis.load import Run, load_run
from analysis.ranking import Ranking, rank
from tune_ode.config import TrialConfig
from tune_ode.config.base import ConfigModel
from tune_ode.config.data import relocated
from tune_ode.data import (
    data_folder,
    fingerprint,
    load,
    requested_data_folder,
    require_unchanged,
)
from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.paths import RunPath
from tune_ode.records import CONFIRM, DEFAULT, MANIFEST, RunManifest, read_manifest
from tune_ode.replication.plan import Candidate, TrainingPlan
from tune_ode.runs.provenance import new_manifest
from tune_ode.runs.relocation import changed_options, run_dataset
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.search.limits import default_report_timeout

DEFAULT_TOP = 5
DEFAULT_SEEDS = 5
FIRST_SEED = 500_000
"""Offset of fresh seeds from the run's first seed; a search uses one more seed per trial, and has a
million to itself."""


class ConfirmOptions(ConfigModel):
    """The options of `confirm`; None: as before, at first the default or as in the search."""

    top: int | None = None
    """Number of best trials; at first 5."""
    seeds: int | None = None
    """Trainings of each, at least 2; at first 5."""
    dataset: str = "digits"
    data_dir: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    """None: an entire GPU if the search used GPUs."""


@dataclass(frozen=True, kw_only=True)
class ConfirmPlan(TrainingPlan):
    """Candidates, best first; the default configuration is last if it is not one of the best.

    Trainings report at the same instants as the search, and have the horizons of the trials.
    """

    run: Run
    ranking: Ranking
    path: RunPath
    """Path or URL of the run that is confirmed."""
    options: ConfirmOptions
    top: int
    default: str
    """`confirms` of the space's default configuration."""

    def manifest(self) -> RunManifest:
        """Return the manifest of the confirmation."""
        run = self.run.manifest
        options = {
            **self.options.to_dict(),
            "command": CONFIRM,
            "top": self.top,
            "seeds": len(self.seeds),
            "trainings": len(self.seeds) * len(self.candidates),
            "default": self.default,
        }
        return new_manifest(
            f"{run.name}-{CONFIRM}",
            options,
            self.resources,
            base=relocated(run.base, self.dataset),
            chance=run.chance,
            trial_seconds=run.trial_seconds,
            validation_images=run.validation_images,
            notes=list(self.notes),
            fingerprint=self.fingerprint,
        )


def plan_confirmation(
    path: RunPath,
    changes: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
    progress: Callable[[str, float], None] | None = None,
) -> ConfirmPlan:
    """Choose what to train again, and load the data, which builds the node's cache.

    Args:
        path: path or URL of the run.
        changes: options that were given, by their name in `ConfirmOptions`.
        trust: approve the data directory that its `run.json` names.
        progress: called with the step in progress and the fraction done, in [0, 1].

    Raises:
        UsageError: there is no run, none of its trials is ranked, or its data or device are not
            available.
    """
    run = load_run(path)
    before = read_manifest(path / CONFIRM) if (path / CONFIRM / MANIFEST).exists() else None
    options = _options(path, run, before, changes or {}, trust)
    ranking = rank(run)
    ranked = [
        row["trial_id"]
        for row in ranking.to_records()
        if row["rank"] is not None and row["device"] == ranking.devices[0]
    ]
    if not ranked:
        raise UsageError(
            f"{path} has no ranked trial to confirm; see why with: tune-ode rank {path}"
        )
    searched, trial_seconds = _search_options(run.manifest), run.manifest.trial_seconds
    gpus = options.gpus_per_trial
    resources = plan_resources(
        local_machine(),
        cpus_per_trial=options.cpus_per_trial,
        # an entire GPU, even if trials of the search shared one
        gpus_per_trial=float(ranking.devices[0] != "cpu") if gpus is None else gpus,
        max_concurrent=1,
    )
    base = TrialConfig.from_dict(relocated(run.manifest.base, options.dataset))
    top = options.top or DEFAULT_TOP
    candidates, default = _candidates(run, ranked, base, top)
    images = load(base.data, data_folder(options.data_dir), progress=progress)
    # a run of an older version has no fingerprint; its confirmation has one from its first start
    known = run.manifest.fingerprint or (before.fingerprint if before else None)
    require_unchanged(images, known, str(path))
    report_timeout = searched.trial_timeout
    if report_timeout is None:
        report_timeout = default_report_timeout(trial_seconds)
    return ConfirmPlan(
        run=run,
        ranking=ranking,
        path=path,
        folder=path / CONFIRM,
        options=options,
        top=top,
        candidates=candidates,
        default=default,
        seeds=_fresh_seeds(run, base.seed, options.seeds or DEFAULT_SEEDS),
        resources=resources,
        data_dir=options.data_dir,
        fingerprint=fingerprint(images),
        notes=images.notes,
        budget_seconds=trial_seconds,
        report_instants=report_instants(trial_seconds, searched.instants_per_decade),
        report_timeout=report_timeout,
    )


def _search_options(manifest: RunManifest) -> SearchOptions:
    """Return the options of a search that its confirmation shares; the others are defaults."""
    names = ("trial_timeout", "instants_per_decade")
    stored = manifest.options
    return SearchOptions.from_dict({name: stored[name] for name in names if name in stored})


def _options(
    path: RunPath, run: Run, before: RunManifest | None, changes: Mapping[str, Any], trust: bool
) -> ConfirmOptions:
    """Return the options of the search, of an earlier start and of this one, in this order."""
    stored = {
        **run.manifest.options,
        "dataset": run_dataset(run.manifest),
        "gpus_per_trial": None,
        "seeds": None,
        **({} if before is None else {k: v for k, v in before.options.items() if v is not None}),
    }
    options = changed_options(
        path, stored, changes, used=ConfirmOptions.model_fields.keys(), trust=trust
    )
    options["data_dir"] = requested_data_folder(options.get("data_dir"))
    return ConfirmOptions.from_dict(
        {name: options[name] for name in ConfirmOptions.model_fields if name in options}
    )


def _candidates(
    run: Run, ranked: Sequence[str], base: TrialConfig, top: int
) -> tuple[tuple[Candidate, ...], str]:
    """Return the best distinct configurations and the default one, and the name of the latter."""
    rows = run.trials.set_index("trial_id")[["config", "params"]].to_dict("index")
    for row in rows.values():
        row["config"] = relocated(row["config"], base.data.dataset)
    found: dict[TrialConfig, Candidate] = {}
    for trial_id in ranked:
        if len(found) == top:
            break
        config = TrialConfig.from_dict(rows[trial_id]["config"])
        params = rows[trial_id]["params"]
        candidate = Candidate(confirms=trial_id, config=config, params=params)
        found.setdefault(_comparable(config), candidate)
    default = _comparable(base)
    if default not in found:
        # a search tries it first, so that it usually has a trial
        names = [
            str(trial_id)
            for trial_id, row in rows.items()
            if _comparable(TrialConfig.from_dict(row["config"])) == default
        ]
        name = names[0] if names else DEFAULT
        params = rows[name]["params"] if names else {}
        config = TrialConfig.from_dict(rows[name]["config"]) if names else base
        found[default] = Candidate(confirms=name, config=config, params=params)
    return tuple(found.values()), found[default].confirms


def _comparable(config: TrialConfig) -> TrialConfig:
    """Return the configuration without what differs between two trials of one point."""
    return config.with_values({"seed": 0, "training.horizon": None})


def _fresh_seeds(run: Run, first: int, number: int) -> tuple[int, ...]:
    """Return the first seeds after the offset that no trial of the search used."""
    used = {str(config.get("seed")) for config in run.trials["config"]}
    seeds = ((first + FIRST_SEED + offset) % 2**63 for offset in count(1))
    return tuple(islice((seed for seed in seeds if str(seed) not in used), number))
