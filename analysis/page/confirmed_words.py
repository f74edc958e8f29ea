"""What a confirmation says in words, on the page and in the terminal."""

from __future__ import annotations

import math

from analysis.confirmed import SURE, Candidate, Confirmed
from analysis.load_confirmed import DISCRETE
from analysis.params import compact_params
from analysis.plots import style
from analysis.statistics import Sample
from tune_ode.text import pluralize


def answer(confirmed: Confirmed) -> str:
    """Return the answer in a sentence or two, with its uncertainty."""
    best = confirmed.candidates[0]
    if not best.reached:
        return (
            f"Trained again, alone and on fresh seeds, no configuration reached the floor of "
            f"{confirmed.floor:.4g}: what the search found is not confirmed."
        )
    text = (
        f"Trained again, alone and on {pluralize(len(best.outcomes), 'fresh seed')}, "
        f"{called(best)} ({compact_params(best.params) or 'nothing searched'}) "
    )
    if len(confirmed.candidates) == 1:
        text += "is the only one so far" if confirmed.unfinished else "is the only one"
    else:
        text += f"is first of {len(confirmed.candidates)}"
    if len(confirmed.candidates) > 1 and math.isfinite(best.probability_first):
        text += f", truly so with probability {_percent(best.probability_first)}"
    text += (
        f": {_accuracy(best.test)} test accuracy, the floor of {confirmed.floor:.4g} after "
        f"{_factor(best.log_seconds)} s of {style.CLOCK_NAMES[confirmed.clock]}."
    )
    if best.reached < len(best.outcomes):
        text += f" Only {best.reached} of its {len(best.outcomes)} trainings reached it."
    text += _against_default(confirmed, best) + _optimism(best)
    if confirmed.unfinished:
        text += f" {pluralize(confirmed.unfinished, 'training')} of the confirmation "
        text += "is to be done." if confirmed.unfinished == 1 else "are to be done."
    return text


def failures(confirmed: Confirmed) -> list[str]:
    """Return a sentence on the winners of the search that the default configuration beats."""
    failed = [one for one in confirmed.candidates if confirmed.verdict(one).startswith("failed")]
    if not failed:
        return []
    names = ", ".join(one.trial_id for one in failed)
    are = "Trial {} has failed: it does" if len(failed) == 1 else "Trials {} have failed: they do"
    return [
        f"{are.format(names)} not beat the default configuration, which nobody had to search for."
    ]


def discrete(confirmed: Confirmed) -> list[str]:
    """Return a sentence on the models that are no ODEs."""
    names = [one.trial_id for one in confirmed.candidates if one.discrete]
    if not names:
        return []
    return [
        f"Discrete: {', '.join(names)}. At a tight tolerance what was trained there loses more "
        f"than {100 * DISCRETE:g} points of accuracy, or cannot be solved within the bounds of a "
        "solve: a network of that many steps, and not an ODE."
    ]


def notes(confirmed: Confirmed) -> list[str]:
    """Return what the figures of the table are."""
    images = " and ".join(
        str(latency.batch)
        for latency in max((one.latencies for one in confirmed.candidates), key=len, default=())
    )
    sentences = [
        "Intervals hold the mean over seeds with 95% confidence (Student's t); of seconds and "
        "accuracy per second it is the geometric mean. s to floor: seconds of "
        f"{style.CLOCK_NAMES[confirmed.clock]} until validation accuracy reached "
        f"{confirmed.floor:.4g}. Accuracy per second: as in the ranking; a seed that never "
        "reached the floor counts 0. first: probability that it is truly the first.",
        "flattered: the validation accuracy that the search reported, minus the mean of the "
        "retrained. cold s: a fresh process, everything counted. ODE gap: validation accuracy "
        "lost at a tight tolerance.",
    ]
    if images:
        sentences[-1] += (
            f" Latency: median time of a prediction, in batches of {images}, with "
            f"{pluralize(confirmed.threads, 'CPU thread')}."
        )
    off = [
        f"{one.isolated_off:+.1%} ({one.trial_id})"
        for one in confirmed.candidates
        if math.isfinite(one.isolated_off)
    ]
    if off:
        sentences.append(
            "The search shared its device. What it estimated a training to take alone, against "
            f"what it took alone here, was off by {', '.join(off)}."
        )
    if confirmed.disturbed:
        of = pluralize(confirmed.disturbed, "training")
        sentences.append(
            f"! The clocks of {of} look disturbed: something else used the machine. That lengthens "
            "seconds, widens their intervals, and lets a budget of seconds end a training sooner."
        )
    return sentences


def called(one: Candidate) -> str:
    """Return what a candidate is called in a sentence."""
    if not one.trial_id.isdigit():
        return "the default configuration"
    return f"trial {one.trial_id}" + ", the default configuration," * one.is_default


def _against_default(confirmed: Confirmed, best: Candidate) -> str:
    default = confirmed.default
    if best.is_default:
        others = len(confirmed.candidates) > 1
        return " The search has failed: no winner of it beats the default." * others
    if default is None:
        return ""
    probability = best.probability_beats_default
    if not math.isfinite(probability):
        return " It is ahead of the default configuration."
    if probability >= SURE:
        return f" It beats the default configuration ({_percent(probability)} sure)."
    return (
        " It is ahead of the default configuration, but with a probability of "
        f"{_percent(probability)} only."
    )


def _optimism(best: Candidate) -> str:
    if not math.isfinite(best.flattered):
        return ""
    points = 100 * best.flattered
    if points > 0:
        return f" The search had flattered it by {points:.1f} points of validation accuracy."
    return f" The search had not flattered it: {-points:.1f} points of validation accuracy more."


def _accuracy(sample: Sample) -> str:
    low, high = sample.interval()
    interval = f" ({max(low, 0):.1%} to {min(high, 1):.1%})" if math.isfinite(low) else ""
    return f"{sample.mean:.2%}{interval}"


def _factor(sample: Sample) -> str:
    low, high = (math.exp(bound) for bound in sample.interval())
    interval = f" ({low:.3g} to {high:.3g})" if math.isfinite(low) else ""
    return f"{math.exp(sample.mean):.3g}{interval}"


def _percent(probability: float) -> str:
    # a simulation cannot tell a probability from one or none
    if probability > 0.99:
        return "over 99%"
    return "under 1%" if probability < 0.01 else f"{probability:.0%}"
