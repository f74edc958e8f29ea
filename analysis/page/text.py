"""Sentences of the page: question, answer, failures, commands."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from analysis.load import Run
from analysis.plots.accuracy import BROKEN
from analysis.ranking import Ranking, describe_best
from analysis.statistics import wilson_interval
from tune_ode.errors import redact
from tune_ode.records import COMPARE, Outcome
from tune_ode.text import pluralize

_SIGNS = {
    "starved": "waited for a CPU that another process used",
    "jumps": "had epochs that took much longer than the surrounding ones",
}


def question(run: Run) -> str:
    """Return the question that the run answers."""
    data = run.manifest.options.get("dataset")
    where = f" on {data}" if data else ""
    if run.manifest.options.get("command") == COMPARE:
        return f"What do solvers and gradients cost{where}, and how accurate are the models?"
    return f"Which neural-ODE classifier buys the most accuracy per second of training{where}?"


def state(run: Run) -> str:
    """Return the state of the run, with the reason why it ended."""
    manifest = run.manifest
    interrupted = run.trials[run.trials["outcome"] == Outcome.INTERRUPTED]
    if manifest.state == Outcome.INTERRUPTED and not manifest.stop_reason and len(interrupted):
        reason = interrupted.sort_values("ended")["reason"].iloc[-1]
        manifest = dataclasses.replace(manifest, stop_reason=reason)
    return manifest.ending


def facts(run: Run) -> dict[str, str]:
    """Return the most important options and figures of the run."""
    options, manifest = run.manifest.options, run.manifest
    images, validation = options.get("train_images"), manifest.validation_images
    limit = f" of at most {options['trials']}" if options.get("trials") else ""
    found = {
        "data set": f"{options.get('dataset')}" + (f", {images} training images" if images else ""),
        "validation images": f"{validation:,}" if validation else None,
        "space": options.get("space") if manifest.space else "nothing searched",
        "trials": f"{len(run.trials)}{limit}",
        "budget per trial": f"{manifest.trial_seconds:.3g} s of training"
        if manifest.trial_seconds
        else "its epochs",
        "search time": f"{manifest.seconds:.0f} s",
        "seed": options.get("seed"),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def answer(run: Run, ranking: Ranking) -> str:
    """Return which trial is best, and how far to trust that."""
    sentences = describe_best(ranking)
    if not sentences and run.reports["val_accuracy"].notna().any():
        return f"No trial reached the floor of {ranking.floor:.4g}, so none is ranked."
    if not sentences:
        return "No trial measured an accuracy, so there is nothing to rank."
    best = ranking.first_rows()[0]
    caution = "It is one training with one seed"
    if len(sentences) > 1:
        caution = "Each is one training with one seed"
    if (measured := int(ranking.table["best_accuracy"].notna().sum())) > 1:
        caution += f", selected from {measured} measured trials, so its accuracy is optimistic"
    if images := run.manifest.validation_images:
        low, high = wilson_interval(best["val_accuracy"], images)
        caution += f"; from {images:,} validation images, {best['val_accuracy']:.2%} means "
        caution += f"{low:.1%} to {high:.1%} with 95% confidence"
    if best["rate_low"]:
        caution += (
            f"; other seeds would show {best['accuracy_per_second']:.3g} of accuracy per second, "
            f"{best['rate_low']:.3g} to {best['rate_high']:.3g} with 95% confidence"
        )
    return " ".join(f"{sentence}." for sentence in (*sentences, caution))


def failures(run: Run) -> list[tuple[str, str, list[str]]]:
    """Return (outcome, reason, trials) of what failed, the most frequent first.

    Reasons that differ only in their numbers are grouped.
    """
    failed = run.trials[run.trials["outcome"].isin([str(outcome) for outcome in BROKEN])]
    groups: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for trial in failed[["trial_id", "outcome", "reason"]].to_dict("records"):
        outcome, reason = str(trial["outcome"]), str(trial["reason"])
        group = outcome, re.sub(r"\d[\d.,]*", "#", reason)
        groups.setdefault(group, (reason, []))[1].append(str(trial["trial_id"]))
    found = [(outcome, reason, trials) for (outcome, _), (reason, trials) in groups.items()]
    return sorted(found, key=lambda group: -len(group[2]))


def measured_on(run: Run) -> str | None:
    """Return what the seconds depend on: the devices, and how many trials shared a node."""
    if run.reports.empty:
        return None
    devices = ", ".join(sorted(set(run.reports["device"].astype(str))))
    concurrent = run.reports["concurrent_trials"].max()
    if concurrent > 1:
        return (
            f"{devices}; up to {concurrent:.0f} trials shared a node, which increases their seconds"
            + "".join(_slowdown(contention) for contention in run.manifest.contention.values())
        )
    return f"{devices}; one trial at a time on a node"


def _slowdown(contention: Mapping[str, Any]) -> str:
    unit = "CPU seconds" if contention["column"] == "train_cpu_seconds" else "seconds"
    others = pluralize(contention["concurrency"][-1] - 1, "other")
    return (
        f": with {others} a training step takes "
        f"{contention['slowdown'][-1]:.2f} ± {contention['error'][-1]:.2f} times the {unit}"
    )


def disturbed(rows: list[dict[str, Any]]) -> list[str]:
    """Return how many clocks look disturbed, by sign."""
    found = []
    for sign, meaning in _SIGNS.items():
        if count := sum(sign in row["clock"].split(", ") for row in rows):
            found.append(f"{pluralize(count, 'trial')} {meaning} ({sign})")
    return found


def command(run: Run) -> str:
    """Return the command that repeats the run."""
    options = dict(run.manifest.options)
    name = str(options.pop("command", "search"))
    if name == "train":  # its options are the configuration, which the run holds
        return train_command(run, "0001")
    arguments = ["tune-ode", name]
    for field, value in (options.pop("fix", None) or {}).items():
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        arguments += ["--fix", f"{field}={text}"]
    for field, value in (options.pop("restrict", None) or {}).items():
        arguments += ["--set", f"{field}={value}"]
    for where in ("name", "output"):
        options.pop(where, None)
    for option, value in options.items():
        flag = option.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{'' if value else 'no-'}{flag}")
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                arguments += [
                    f"--{flag}",
                    f"{one:.10g}" if isinstance(one, float) else redact(str(one)),
                ]
    return shlex.join(arguments)


def train_command(run: Run, trial_id: str) -> str:
    """Return the command that retrains the configuration of a trial."""
    return shlex.join(["tune-ode", "train", f"{run.folder}:{trial_id}"])


def confirm_command(run: Run) -> str:
    """Return the command that retrains the best trials with fresh seeds."""
    return shlex.join(["tune-ode", "confirm", str(run.folder)])
