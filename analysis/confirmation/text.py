"""Sentences about a confirmation, computed from its figures."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis.confirmation.data import MAX_ODE_GAP, Candidate, ConfirmationSummary
from analysis.params import compact_params
from analysis.ranking.points import CLOCK_NAMES
from analysis.statistics import CONFIDENCE, Sample
from tune_ode.text import pluralize


def answer(confirmation: ConfirmationSummary) -> str:
    """Return which configuration is best and how certain that is."""
    best = confirmation.candidates[0]
    floor = f"the floor of {confirmation.floor:.4g}"
    if not best.reached:
        return (
            f"Retrained in isolation on fresh seeds, no configuration reached {floor}: the result "
            "of the search is not confirmed."
        )
    many = len(confirmation.candidates)
    if many > 1:
        place = f"ranks first of {many} by accuracy per second"
        if math.isfinite(best.prob_best):
            place += f" (best with probability {_percent(best.prob_best)})"
    else:
        place = "is the only candidate" + " so far" * bool(confirmation.unfinished)
    sentences = [
        f"Retrained in isolation on {pluralize(len(best.outcomes), 'fresh seed')}, {_name(best)} "
        f"({compact_params(best.params) or 'nothing searched'}) {place}: {_accuracy(best.test)} "
        f"test accuracy; it reached {floor} after {_seconds(best.log_seconds)} s of "
        f"{CLOCK_NAMES[confirmation.clock]}."
    ]
    if best.reached < len(best.outcomes):
        sentences.append(f"Only {best.reached} of its {len(best.outcomes)} trainings reached it.")
    sentences += [
        *_against_search(confirmation),
        *_against_default(confirmation, best),
        *_optimism(best),
    ]
    if left := confirmation.unfinished:
        remain = "remains" if left == 1 else "remain"
        sentences.append(f"{pluralize(left, 'training')} of the confirmation {remain}.")
    return " ".join(sentences)


def warnings(confirmation: ConfirmationSummary) -> Iterator[str]:
    """Yield what must not be missed: candidates worse than the default, models that are no ODE."""
    failed = [
        one.trial_id
        for one in confirmation.candidates
        if confirmation.verdict(one).startswith("failed")
    ]
    if failed:
        subject = (
            f"Trial {failed[0]} failed: it does"
            if len(failed) == 1
            else f"Trials {', '.join(failed)} failed: they do"
        )
        yield f"{subject} not beat the default configuration, which needs no search."
    discrete = [one.trial_id for one in confirmation.candidates if one.discrete]
    if discrete:
        yield (
            f"Discrete: {', '.join(discrete)}. Solved at a tight tolerance, these models lose more "
            f"than {100 * MAX_ODE_GAP:g} points of accuracy or exceed the limit of evaluations: "
            "they are residual networks with a fixed number of steps, not ODEs."
        )


def notes(confirmation: ConfirmationSummary) -> Iterator[str]:
    """Yield what the columns mean and how far to trust them."""
    yield (
        "Intervals: 95% confidence for the mean over seeds (Student's t); seconds and accuracy per "
        "second are geometric means. s to floor: seconds of "
        f"{CLOCK_NAMES[confirmation.clock]} until validation accuracy reached "
        f"{confirmation.floor:.4g}. accuracy/s: as in the ranking; a seed that never reached the "
        "floor counts as 0. P(best): probability that the configuration is truly the best."
    )
    text = (
        "optimism: validation accuracy reported by the search minus the mean of the retrained "
        "models. cold s: seconds of a fresh process, everything included. ODE gap: validation "
        "accuracy lost at a tight tolerance."
    )
    latencies = max((one.latencies for one in confirmation.candidates), key=len)
    if latencies:
        text += (
            " latency: median and quartiles of a prediction in batches of "
            f"{' and '.join(str(latency.batch) for latency in latencies)}, with "
            f"{pluralize(confirmation.threads, 'CPU thread')}."
        )
    yield text
    biases = [
        f"{one.isolated_bias:+.1%} ({one.trial_id})"
        for one in confirmation.candidates
        if math.isfinite(one.isolated_bias)
    ]
    if biases:
        yield (
            "Trials of the search shared a device. Their estimated isolated seconds differ from "
            f"those measured here by {', '.join(biases)}."
        )
    if confirmation.disturbed:
        yield (
            f"! The clocks of {pluralize(confirmation.disturbed, 'training')} look disturbed: "
            "another process used the machine. This increases seconds, widens their intervals, and "
            "ends trainings with a budget of seconds earlier."
        )


def _name(one: Candidate) -> str:
    if not one.trial_id.isdigit():
        return "the default configuration"
    return f"trial {one.trial_id}" + ", the default configuration," * one.is_default


def _against_search(confirmation: ConfirmationSummary) -> Iterator[str]:
    """Yield how the first trial of the search did, if another candidate is best."""
    for place, one in enumerate(confirmation.candidates[1:], start=2):
        if one.search_rank != 1:
            continue
        found = f"has rank {place}" if one.reached else "never reached the floor"
        reason = ""
        if one.reached and math.isfinite(one.search_rate):
            reason = (
                f": its accuracy per second was {one.search_rate:.3g} in the search and is "
                f"{math.exp(one.log_value):.3g} on fresh seeds"
            )
        yield f"Trial {one.trial_id}, which the search ranked first, {found}{reason}."


def _against_default(confirmation: ConfirmationSummary, best: Candidate) -> Iterator[str]:
    if best.is_default:
        if len(confirmation.candidates) > 1:
            yield "The search failed: none of its trials beats the default configuration."
    elif confirmation.default is not None:
        probability = best.prob_beats_default
        if probability >= CONFIDENCE:
            yield f"It beats the default configuration (probability {_percent(probability)})."
        elif math.isfinite(probability):
            yield (
                "It is ahead of the default configuration, but with a probability of only "
                f"{_percent(probability)}."
            )
        else:
            yield "It is ahead of the default configuration."


def _optimism(best: Candidate) -> Iterator[str]:
    if math.isfinite(best.optimism):
        points = 100 * best.optimism
        direction = "overestimated" if points > 0 else "underestimated"
        yield f"The search {direction} its validation accuracy by {abs(points):.1f} points."


def _accuracy(sample: Sample) -> str:
    low, high = sample.interval()
    interval = f" ({max(low, 0):.1%} to {min(high, 1):.1%})" if math.isfinite(low) else ""
    return f"{sample.mean:.2%}{interval}"


def _seconds(sample: Sample) -> str:
    """Return the geometric mean of a sample of log-seconds, with its interval."""
    low, high = (math.exp(bound) for bound in sample.interval())
    interval = f" ({low:.3g} to {high:.3g})" if math.isfinite(low) else ""
    return f"{math.exp(sample.mean):.3g}{interval}"


def _percent(probability: float) -> str:
    """Return a probability; a simulation cannot distinguish one near 0 or 1 from it."""
    if probability > 0.99:
        return "over 99%"
    return "under 1%" if probability < 0.01 else f"{probability:.0%}"
