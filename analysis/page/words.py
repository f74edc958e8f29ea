"""What the page says in words: question, answer, failures, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from analysis.load import Run
from analysis.params import compact_params
from analysis.plots import style
from analysis.plots.accuracy import BROKEN
from analysis.ranking import Ranking
from analysis.statistics import wilson_interval
from tune_ode.records import COMPARE, Outcome
from tune_ode.text import pluralize

_SIGNS = {
    "starved": "waited for a CPU that others used",
    "jumps": "had epochs that took suddenly longer than those around them",
}


def question(run: Run) -> str:
    """Return the question in a sentence."""
    data = run.manifest.options.get("dataset")
    where = f" on {data}" if data else ""
    if run.manifest.options.get("command") == COMPARE:
        return f"What do solvers and gradients cost{where}, and what do they buy?"
    return f"Which neural-ODE classifier buys the most accuracy per second of training{where}?"


def state(run: Run) -> str:
    """Return how far the run is; of one whose trials were cut off, why."""
    cut_off = run.trials[run.trials["outcome"] == Outcome.INTERRUPTED]
    if run.manifest.state != Outcome.INTERRUPTED or cut_off.empty:
        return run.manifest.state
    reason = cut_off.sort_values("ended")["reason"].iloc[-1]
    return reason if reason == run.manifest.state else f"{run.manifest.state}: {reason}"


def facts(run: Run) -> dict[str, str]:
    """Return the parts of the question that a reader asks for first."""
    asked = run.manifest.options
    images, validation = asked.get("train_images"), run.manifest.validation_images
    parts = {
        "data set": f"{asked.get('dataset')}" + (f", {images} training images" if images else ""),
        "validation images": f"{validation:,}" if validation else None,
        "space": asked.get("space") if run.manifest.space else "nothing searched",
        "trials": f"{len(run.trials)} of at most {asked['trials']}"
        if asked.get("trials")
        else f"{len(run.trials)}",
        "budget of a trial": f"{run.manifest.trial_seconds:.3g} s of training"
        if run.manifest.trial_seconds
        else "its epochs",
        "searched for": f"{run.manifest.seconds:.0f} s",
        "seed": asked.get("seed"),
    }
    return {name: str(value) for name, value in parts.items() if value is not None}


def answer(run: Run, ranking: Ranking, best: Mapping[str, Any] | None) -> str:
    """Return the answer in a sentence, and how far to trust it in another."""
    if best is None and run.lines["val_accuracy"].notna().any():
        return f"No trial reached the floor of {ranking.floor:.4g}, so none is ranked."
    if best is None:
        return "No trial measured an accuracy, so there is nothing to rank."
    accuracies = ranking.table.loc[ranking.table["device"] == best["device"], "best_accuracy"]
    measured = int(accuracies.notna().sum())
    place = f"is first of {measured} measured trials" if measured > 1 else "is the only one"
    where = f" on {best['device']}" if len(ranking.devices) > 1 else ""
    text = (
        f"Trial {best['trial_id']} ({compact_params(best['params']) or 'nothing searched'}) "
        f"{place}{where}: {best['val_accuracy']:.2%} validation accuracy{_interval(run, best)} "
        f"after {best['seconds']:.3g} s of {style.CLOCK_NAMES[ranking.clock]}, "
        f"{best['best_accuracy']:.2%} at best"
    )
    if ranking.by != "accuracy_per_second":
        text += f", ranked by {ranking.by}"
    return f"{text}.{_elsewhere(ranking)} {_caution(ranking, best, measured)}"


def _elsewhere(ranking: Ranking) -> str:
    """Return what is first on the other devices, whose seconds are not comparable."""
    table = ranking.table[ranking.table["rank"] == 1]
    return "".join(
        f" On {row['device']} it is trial {row['trial_id']} ({compact_params(row['params'])}): "
        f"{row['val_accuracy']:.2%} after {row['seconds']:.3g} s."
        for row in table.to_dict("records")[1:]
    )


def _interval(run: Run, best: Mapping[str, Any]) -> str:
    images = run.manifest.validation_images
    if not images:
        return ""
    low, high = wilson_interval(best["val_accuracy"], images)
    return f" ({low:.1%} to {high:.1%} with 95% confidence, from {images:,} images)"


def _caution(ranking: Ranking, best: Mapping[str, Any], measured: int) -> str:
    rates = ranking.table.loc[ranking.table["device"] == best["device"], "accuracy_per_second"]
    close = int((rates >= 0.9 * rates.max()).sum()) - 1
    text = "It is one training with one seed"
    if measured > 1:
        text += ", chosen as the best of many, which flatters it"
        near = pluralize(close, "other trial")
        text += f"; {near if close > 0 else 'no other trial'} came within a tenth of its rate"
    return f"{text}."


def failures(run: Run) -> list[tuple[str, str, list[str]]]:
    """Return outcome, reason and trials of what went wrong, the most frequent first.

    Reasons that differ in their numbers alone are one.
    """
    failed = run.trials[run.trials["outcome"].isin([str(outcome) for outcome in BROKEN])]
    groups: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for trial in failed[["trial_id", "outcome", "reason"]].to_dict("records"):
        outcome, reason = str(trial["outcome"]), str(trial["reason"])
        kind = outcome, re.sub(r"\d[\d.,]*", "#", reason)
        groups.setdefault(kind, (reason, []))[1].append(str(trial["trial_id"]))
    found = [(outcome, reason, trials) for (outcome, _), (reason, trials) in groups.items()]
    return sorted(found, key=lambda group: -len(group[2]))


def measured_on(run: Run) -> str | None:
    """Return what the seconds depend on: device, and how many trials shared a node."""
    if run.lines.empty:
        return None
    devices = ", ".join(sorted(set(run.lines["device"].astype(str))))
    most = run.lines["concurrent_trials"].max()
    if most > 1:
        return (
            f"{devices}; up to {most:.0f} trials shared a node, which lengthens their seconds"
            + "".join(_price(sharing) for sharing in run.manifest.contention.values())
        )
    return f"{devices}; one trial at a time on a node"


def _price(sharing: Mapping[str, Any]) -> str:
    """Return what sharing costs, as timed after the search."""
    what = "CPU seconds" if sharing["column"] == "train_cpu_seconds" else "seconds"
    return (
        f": beside {pluralize(sharing['concurrency'][-1] - 1, 'other')} a training step takes "
        f"{sharing['slowdown'][-1]:.2f} ± {sharing['error'][-1]:.2f} times the {what}"
    )


def disturbed(rows: list[dict[str, Any]]) -> list[str]:
    """Return in words how many clocks were disturbed, and how."""
    found = []
    for sign, meaning in _SIGNS.items():
        if count := sum(sign in row["clock"].split(", ") for row in rows):
            found.append(f"{pluralize(count, 'trial')} {meaning} ({sign})")
    return found


def command(run: Run) -> str:
    """Return the command that asks the run's question again."""
    options = dict(run.manifest.options)
    asked = str(options.pop("command", "search"))
    if asked == "train":  # its whole question is the configuration, which the run holds
        return train_command(run, "0001")
    words = ["tune-ode", asked]
    for name, value in (options.pop("fix", None) or {}).items():
        words += ["--fix", f"{name}={_value(value)}"]
    for name, value in (options.pop("narrow", None) or {}).items():
        words += ["--set", f"{name}={value}"]
    for name in ("name", "output"):  # where it goes, no part of what is asked
        options.pop(name, None)
    for option, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{option.replace('_', '-')}")
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                text = f"{one:.10g}" if isinstance(one, float) else str(one)
                words += [f"--{option.replace('_', '-')}", text]
    return shlex.join(words)


def train_command(run: Run, trial_id: str) -> str:
    """Return the command that trains a trial's configuration again."""
    return shlex.join(["tune-ode", "train", f"{run.folder}:{trial_id}"])


def confirm_command(run: Run) -> str:
    """Return the command that trains the best again on fresh seeds."""
    return shlex.join(["tune-ode", "confirm", str(run.folder)])


def _value(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True)
    return text.removesuffix("...\n").strip()
