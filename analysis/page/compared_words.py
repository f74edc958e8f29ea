"""What a comparison says in words, computed from its figures; on the page and in the terminal."""

from __future__ import annotations

import math
from itertools import pairwise

from analysis.compared import EXPECTED, PUBLISHED, Case, Compared
from analysis.statistics import Sample, wilson_interval
from tune_ode.text import pluralize

PUBLISHED_NOTE = (
    "Published: MNIST, one GPU, wall-clock seconds per epoch, with other code; compare orders and "
    "ratios, not seconds."
)


def paragraph(compared: Compared) -> str:
    """Return what the numbers say: the order of seconds, hidden costs, accuracies."""
    if not compared.measured:
        return " ".join(["No training of the comparison was completed.", *_missing(compared)])
    sentences = [
        _what(compared),
        *_order(compared),
        *_spread(compared),
        *_backward(compared),
        *_accuracy(compared),
        *_missing(compared),
    ]
    return " ".join(sentences)


def notes(compared: Compared) -> list[str]:
    """Return what the figures of the table are."""
    found = [
        "s/epoch: seconds of training alone; whole: with evaluation on validation and test set and "
        "checkpoints, all but the warm-up. NFE-F: evaluations of the ODE function per batch; "
        "NFE-B: those made anew in the backward pass; VJP: those differentiated there. "
        "Accuracies are those of the last epoch; the training accuracy is measured on augmented "
        "images with the weights of the moment."
    ]
    if compared.seeds > 1:
        found[0] += " Intervals hold the mean over seeds with 95% confidence (Student's t)."
    memory = any(math.isfinite(case.peak_memory) for case in compared.measured)
    found[0] += (
        " Peak memory is the device's, evaluation included."
        if memory
        else " Peak memory is not measured on a CPU."
    )
    if any(map(compared.published, compared.cases)):
        found.append(PUBLISHED_NOTE)
    if disturbed := sum(case.disturbed for case in compared.cases):
        found.append(
            f"! The clocks of {pluralize(disturbed, 'training')} look disturbed: something "
            "else used the machine, which lengthens seconds."
        )
    return found


def _what(compared: Compared) -> str:
    images = f" on {compared.train_images:,} images" if compared.train_images else ""
    return (
        f"One network, {pluralize(len(compared.measured), 'case')}, {compared.dataset}: "
        f"{pluralize(compared.epochs, 'epoch')}{images}, "
        f"{pluralize(compared.seeds, 'seed')}, one training at a time on {compared.device}."
    )


def _order(compared: Compared) -> list[str]:
    """Say whether the seconds lie in the published order."""
    by_name = {case.name: case for case in compared.measured}
    cases = [by_name[name] for name in EXPECTED if name in by_name]
    if len(cases) < 2:
        return []
    expected = " < ".join(case.name for case in cases)
    found = sorted(cases, key=lambda case: case.seconds.mean)
    measured = " < ".join(f"{case.name} {_seconds(case.seconds)}" for case in found)
    wrong = [
        f"{slow.name} takes less than {fast.name}"
        for fast, slow in pairwise(cases)
        if slow.seconds.mean <= fast.seconds.mean
    ]
    verdict = f"does not hold: {', '.join(wrong)}" if wrong else "holds"
    seeds = set.intersection(*(set(case.seconds_by_seed) for case in cases))
    if len(seeds) > 1:
        holding = sum(
            all(
                fast.seconds_by_seed[seed] < slow.seconds_by_seed[seed]
                for fast, slow in pairwise(cases)
            )
            for seed in seeds
        )
        verdict += f" (in {holding} of {len(seeds)} seeds)"
    return [
        f"The expected order of seconds is {expected}. Measured, in seconds of training per "
        f"epoch: {measured}. The expected order {verdict}."
    ]


def _spread(compared: Compared) -> list[str]:
    """Say how far apart the fastest and the slowest case are, there and here."""
    cases = sorted(compared.measured, key=lambda case: case.seconds.mean)
    fast, slow = cases[0], cases[-1]
    if len(cases) < 2 or not fast.seconds.mean > 0:
        return []
    text = (
        f"An epoch of {slow.name} takes {slow.seconds.mean / fast.seconds.mean:.1f} times as long "
        f"as one of {fast.name}"
    )
    if compared.published(slow) and compared.published(fast):
        published = PUBLISHED[slow.name].seconds / PUBLISHED[fast.name].seconds
        text += f" (published: {published:.1f})"
    return [f"{text}."]


def _backward(compared: Compared) -> list[str]:
    """Say what backprop costs that NFE-B does not count, and what the adjoint costs beside it."""
    sentences = []
    by_name = {case.name: case for case in compared.measured}
    for case in compared.measured:
        method, _, gradient = case.name.partition(":")
        if gradient != "backprop":
            continue
        text = (
            f"{case.name} makes no evaluation anew in its backward pass, but differentiates "
            f"{case.vjp_backward:.3g} of them there, which its NFE-B of {case.nfe_backward:.3g} "
            "hides"
        )
        if adjoint := by_name.get(f"{method}:adjoint"):
            ratio = adjoint.seconds.mean / case.seconds.mean
            text += (
                f"; {adjoint.name} evaluates {adjoint.nfe_backward:.3g} anew, differentiates "
                f"{adjoint.vjp_backward:.3g} and takes {ratio:.2f} times its seconds"
            )
        sentences.append(f"{text}.")
    return sentences


def _accuracy(compared: Compared) -> list[str]:
    """Say how the final accuracies lie, and whether they can be told apart."""
    cases = sorted(
        (case for case in compared.measured if case.test.count), key=lambda case: case.test.mean
    )
    if not cases:
        return []
    low, high = cases[0], cases[-1]
    after = f"After {pluralize(compared.epochs, 'epoch')} test accuracy"
    if len(cases) == 1:
        return [f"{after} is {low.test.mean:.2%}."]
    text = f"{after} lies between {low.test.mean:.2%} ({low.name}) and {high.test.mean:.2%} "
    text += f"({high.name})"
    if low.test.count > 1 and high.test.count > 1:
        apart = low.test.interval()[1] < high.test.interval()[0]
        return [f"{text}; their 95% intervals over seeds {'are apart' if apart else 'overlap'}."]
    if compared.test_images is None:
        return [f"{text}."]
    bounds = [wilson_interval(case.test.mean, compared.test_images) for case in (low, high)]
    images = f"what {compared.test_images:,} test images can tell"
    if bounds[0][1] >= bounds[1][0]:
        return [f"{text}: no more than {images} apart."]
    return [f"{text}: more than {images} apart, but one seed does not say how much seeds differ."]


def _missing(compared: Compared) -> list[str]:
    sentences = [
        f"{_broken(case)} of {case.name} ended early: {case.reasons[0]}."
        for case in compared.cases
        if case.reasons
    ]
    if compared.unfinished:
        left = pluralize(compared.unfinished, "training")
        sentences.append(f"{left} {'is' if compared.unfinished == 1 else 'are'} to be done.")
    return sentences


def _broken(case: Case) -> str:
    return f"{len(case.reasons)} of {pluralize(len(case.outcomes), 'training')}"


def _seconds(sample: Sample) -> str:
    low, high = sample.interval()
    return f"{sample.mean:.3g}" + (f" ({low:.3g} to {high:.3g})" if math.isfinite(low) else "")
