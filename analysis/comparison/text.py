"""Sentences about a comparison, computed from its figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from analysis.comparison.data import EXPECTED, PUBLISHED, ComparisonSummary
from analysis.statistics import Sample, wilson_interval
from tune_ode.text import pluralize


def summarize(comparison: ComparisonSummary) -> str:
    """Return a paragraph: order of seconds, hidden costs, accuracies, what is missing."""
    if not comparison.measured:
        return " ".join(["No training of the comparison completed.", *_missing(comparison)])
    images = f" on {comparison.train_images:,} images" if comparison.train_images else ""
    sentences = [
        f"One network, {pluralize(len(comparison.measured), 'case')}, {comparison.dataset}: "
        f"{pluralize(comparison.epochs, 'epoch')}{images}, "
        f"{pluralize(comparison.seeds, 'seed')}, one training at a time on {comparison.device}.",
        *_order(comparison),
        *_spread(comparison),
        *_backward(comparison),
        *_accuracy(comparison),
        *_missing(comparison),
    ]
    return " ".join(sentences)


def notes(comparison: ComparisonSummary) -> Iterator[str]:
    """Yield what the columns mean and how far to trust them."""
    text = (
        "s/epoch: training only; wall s/epoch: including evaluation on the validation and test "
        "sets and checkpoints, without warm-up. NFE-F: evaluations of the ODE function per batch; "
        "NFE-B: evaluations repeated in the backward pass; VJP: evaluations differentiated there. "
        "Accuracies are those of the last epoch; training accuracy is measured on augmented "
        "images while the weights change."
    )
    if comparison.seeds > 1:
        text += " Intervals: 95% confidence for the mean over seeds (Student's t)."
    if any(math.isfinite(case.peak_memory) for case in comparison.measured):
        text += " Peak memory on the device, including evaluation."
    else:
        text += " Peak memory is not measured on a CPU."
    yield text
    if any(map(comparison.published, comparison.cases)):
        yield (
            "Published: MNIST, one GPU, wall-clock seconds per epoch, different code; compare "
            "orders and ratios, not seconds."
        )
    if disturbed := sum(case.disturbed for case in comparison.cases):
        yield (
            f"! The clocks of {pluralize(disturbed, 'training')} look disturbed: another process "
            "used the machine, which increases seconds."
        )


def _order(comparison: ComparisonSummary) -> Iterator[str]:
    """Compare the order of seconds with the published one."""
    by_name = {case.name: case for case in comparison.measured}
    cases = [by_name[name] for name in EXPECTED if name in by_name]
    if len(cases) < 2:
        return
    ordered = sorted(cases, key=lambda case: case.seconds.mean)
    measured = " < ".join(f"{case.name} {_seconds(case.seconds)}" for case in ordered)
    wrong = [
        f"{slow.name} takes less than {fast.name}"
        for fast, slow in pairwise(cases)
        if slow.seconds.mean <= fast.seconds.mean
    ]
    verdict = f"does not hold: {', '.join(wrong)}" if wrong else "holds"
    seeds = set.intersection(*(set(case.seconds_by_seed) for case in cases))
    if len(seeds) > 1:
        holding = sum(
            all(a.seconds_by_seed[seed] < b.seconds_by_seed[seed] for a, b in pairwise(cases))
            for seed in seeds
        )
        verdict += f" (in {holding} of {len(seeds)} seeds)"
    yield (
        f"The expected order of seconds is {' < '.join(case.name for case in cases)}. Measured, in "
        f"training seconds per epoch: {measured}. The expected order {verdict}."
    )


def _spread(comparison: ComparisonSummary) -> Iterator[str]:
    """Compare the ratio of the slowest to the fastest case with the published one."""
    cases = sorted(comparison.measured, key=lambda case: case.seconds.mean)
    fast, slow = cases[0], cases[-1]
    if len(cases) < 2 or not fast.seconds.mean > 0:
        return
    text = (
        f"An epoch of {slow.name} takes {slow.seconds.mean / fast.seconds.mean:.1f} times as long "
        f"as an epoch of {fast.name}"
    )
    if comparison.published(slow) and comparison.published(fast):
        published = PUBLISHED[slow.name].seconds / PUBLISHED[fast.name].seconds
        text += f" (published: {published:.1f})"
    yield f"{text}."


def _backward(comparison: ComparisonSummary) -> Iterator[str]:
    """Name the cost of backprop that NFE-B does not count, next to that of the adjoint."""
    by_name = {case.name: case for case in comparison.measured}
    for case in comparison.measured:
        method, _, gradient = case.name.partition(":")
        if gradient != "backprop":
            continue
        text = (
            f"{case.name} repeats no evaluation in its backward pass, but differentiates "
            f"{case.vjp_backward:.3g} of them there, which its NFE-B of {case.nfe_backward:.3g} "
            "does not count"
        )
        if adjoint := by_name.get(f"{method}:adjoint"):
            ratio = adjoint.seconds.mean / case.seconds.mean
            text += (
                f"; {adjoint.name} repeats {adjoint.nfe_backward:.3g}, differentiates "
                f"{adjoint.vjp_backward:.3g} and takes {ratio:.2f} times as long"
            )
        yield f"{text}."


def _accuracy(comparison: ComparisonSummary) -> Iterator[str]:
    """Report the range of final accuracies and whether the difference is significant."""
    cases = sorted(
        (case for case in comparison.measured if case.test.count), key=lambda case: case.test.mean
    )
    if not cases:
        return
    low, high = cases[0], cases[-1]
    text = f"After {pluralize(comparison.epochs, 'epoch')} test accuracy is"
    if len(cases) == 1:
        yield f"{text} {low.test.mean:.2%}."
        return
    text += f" between {low.test.mean:.2%} ({low.name}) and {high.test.mean:.2%} ({high.name})"
    if low.test.count > 1 and high.test.count > 1:
        overlap = low.test.interval()[1] >= high.test.interval()[0]
        text += f"; their 95% intervals over seeds {'overlap' if overlap else 'do not overlap'}"
    elif images := comparison.test_images:
        bounds = [wilson_interval(case.test.mean, images) for case in (low, high)]
        if bounds[0][1] >= bounds[1][0]:
            text += f": within the resolution of {images:,} test images"
        else:
            text += (
                f": more than the resolution of {images:,} test images, but one seed does not show "
                "how much seeds differ"
            )
    yield f"{text}."


def _missing(comparison: ComparisonSummary) -> Iterator[str]:
    for case in comparison.cases:
        if case.reasons:
            trainings = pluralize(len(case.outcomes), "training")
            yield (
                f"{len(case.reasons)} of {trainings} of {case.name} ended early: {case.reasons[0]}."
            )
    if left := comparison.unfinished:
        yield f"{pluralize(left, 'training')} {'remains' if left == 1 else 'remain'}."


def _seconds(sample: Sample) -> str:
    low, high = sample.interval()
    return f"{sample.mean:.3g}" + (f" ({low:.3g} to {high:.3g})" if math.isfinite(low) else "")
