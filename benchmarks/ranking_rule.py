"""Compare rules for ranking trials by accuracy per second on simulated searches with known rates.

    python -m benchmarks.ranking_rule [--quick] [--json FILE]

A simulated trial is evaluated at the report instants of a budget of 60 s. Its true accuracy is a
function of seconds over its pace; a report counts the correct ones of some validation images. The
true rate of a configuration is that of its curve at the floor, 0.05 below the best report of the
search; its training is faster or slower than that by a factor that depends on the seed. Scenarios:

- `same`: 50 equal configurations. The winner is the luckiest.
- `spread`: log-paces with a standard deviation of 0.8, and different final accuracies.
- `cluster`: half of the configurations within a tenth of each other, the others slower.
- `correlated` means that errors on an image are shared between reports and between trials.

Overstatement is the geometric mean of the winner's shown rate over its true one; regret is that of
the best true rate over the winner's. `slower wins` counts how often the slower of two
configurations has the higher rate, one taking 20 % more seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from scipy.special import expit, logit, ndtri

from analysis.curves import report_instants
from analysis.ranking.rank_trials import FLOOR_UNDER_BEST
from analysis.ranking.uncertainty import SEED_SPREAD, shrink, tied
from analysis.rate import accuracy_per_second
from benchmarks.harness.results_file import finish, new_parser, print_rows

Array = npt.NDArray[np.float64]

CHANCE, FINAL, SLOPE, TRIALS = 0.1, 0.995, 1.9, 50
INSTANTS = np.array(report_instants(60.0))
LOGS = np.log(INSTANTS)
SHARED, WITHIN = 0.4, 0.3
"""Shares of the latent variance of an image's errors that all trials, and one trial's reports,
have in common."""


@dataclass(frozen=True)
class Scenario:
    """What is simulated."""

    name: str
    images: int = 288
    seeds: float = SEED_SPREAD
    """Standard deviation of log-seconds over seeds."""
    shape: str = "logistic"
    correlated: bool = False


def share(shape: str, x: Array) -> Array:
    """Return the share of the final accuracy above chance at log-seconds over the pace."""
    return expit(SLOPE * x) if shape == "logistic" else -np.expm1(-np.exp(x))


def time_of(shape: str, share: Array) -> Array:
    """Return the log-seconds over the pace at which that share is reached; NaN if never."""
    with np.errstate(all="ignore"):
        x = logit(share) / SLOPE if shape == "logistic" else np.log(-np.log1p(-share))
    return np.where(share < 1, x, np.nan)


def observe(accuracy: Array, scenario: Scenario, draw: np.random.Generator) -> Array:
    """Return measured accuracies of (trials, instants)."""
    if not scenario.correlated:
        return draw.binomial(scenario.images, accuracy) / scenario.images
    images = draw.standard_normal(scenario.images) * np.sqrt(SHARED)
    own = draw.standard_normal((len(accuracy), scenario.images)) * np.sqrt(WITHIN)
    threshold, left = ndtri(accuracy), np.sqrt(1 - SHARED - WITHIN)
    columns = [
        (images + own + left * draw.standard_normal(own.shape) < column[:, None]).mean(axis=1)
        for column in threshold.T
    ]
    return np.stack(columns, axis=1)


def search(
    scenario: Scenario, draw: np.random.Generator, paces: Array | None = None
) -> tuple[Array, float, Array]:
    """Return the reports of a search, its floor, and the true log-rates of its configurations."""
    final = np.full(TRIALS if paces is None else len(paces), FINAL)
    if paces is None:
        centre = draw.uniform(-1, 1.5)
        if scenario.name == "same":
            paces = np.full(TRIALS, centre)
        elif scenario.name == "spread":
            paces = 1 + 0.8 * draw.standard_normal(TRIALS)
            final = FINAL - draw.exponential(0.01, TRIALS)
        else:
            near = draw.random(TRIALS) < 0.5
            wide = np.abs(draw.standard_normal(TRIALS)) * 1.2
            paces = centre + np.where(near, 0.1 * draw.standard_normal(TRIALS), wide)
    seeds = scenario.seeds * draw.standard_normal(len(paces))
    x = LOGS - (paces + seeds)[:, None]
    accuracy = CHANCE + (final[:, None] - CHANCE) * share(scenario.shape, x)
    reports = observe(accuracy, scenario, draw)
    floor = float(reports.max()) - FLOOR_UNDER_BEST
    times = paces + time_of(scenario.shape, (floor - CHANCE) / (final - CHANCE))
    return reports, floor, np.log(floor - CHANCE) - times


Rule = Callable[[Array, float, int], tuple[Array, ...]]
"""Reports, floor, images → log-rates (-inf if unranked), both ends of intervals, and ties."""


def _without_intervals(logs: Array) -> tuple[Array, ...]:
    unknown = np.full(len(logs), np.nan)
    return logs, unknown, unknown, np.zeros(len(logs), dtype=bool)


def luckiest_report(reports: Array, floor: float, images: int) -> tuple[Array, ...]:
    """Maximize over reports at or above the floor, as the ranking did before."""
    return _best(reports, reports >= floor)


def lower_bound(reports: Array, floor: float, images: int) -> tuple[Array, ...]:
    """Count reports whose binomial error, one-sided at 95 %, is above the floor."""
    error = np.sqrt(floor * (1 - floor) / images)
    return _best(np.full_like(reports, floor), reports >= min(floor + 1.645 * error, 1.0))


def _best(levels: Array, counts: npt.NDArray[np.bool_]) -> tuple[Array, ...]:
    with np.errstate(divide="ignore"):
        return _without_intervals(np.log(np.where(counts, (levels - CHANCE) / INSTANTS, 0).max(1)))


def isotonic(reports: Array, floor: float, images: int) -> tuple[Array, ...]:
    """Fit a non-decreasing curve by least squares."""
    sums = np.pad(np.cumsum(reports, axis=1), ((0, 0), (1, 0)))
    size = reports.shape[1]
    fit = np.full_like(reports, -np.inf)
    for left in range(size):  # max over starts of the min over ends of means (Barlow, 1972)
        lengths = np.arange(1, size - left + 1)
        means = (sums[:, left + 1 :] - sums[:, [left]]) / lengths
        least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        fit[:, left:] = np.maximum(fit[:, left:], least)
    return _crossing(fit, floor)


def local_regression(reports: Array, floor: float, images: int) -> tuple[Array, ...]:
    """Fit local lines to logits over log-seconds, with Gaussian weights of width 0.6."""
    z = logit((reports * images + 0.5) / (images + 1))
    base = images * reports * (1 - reports) + 0.5
    fit = np.empty_like(z)
    for node, at in enumerate(LOGS):
        x = LOGS - at
        w = base * np.exp(-0.5 * (x / 0.6) ** 2)
        s0, s1, s2 = w.sum(1), (w * x).sum(1), (w * x * x).sum(1)
        fit[:, node] = (s2 * (w * z).sum(1) - s1 * (w * x * z).sum(1)) / (s0 * s2 - s1**2)
    return _crossing(np.maximum.accumulate(fit, axis=1), float(logit(floor)), floor)


def _crossing(fit: Array, level: float, floor: float | None = None) -> tuple[Array, ...]:
    floor = level if floor is None else floor
    node, rows = (fit >= level).argmax(axis=1), np.arange(len(fit))
    before = np.maximum(node - 1, 0)
    rise = np.maximum(fit[rows, node] - fit[rows, before], 1e-12)
    part = np.where(node > 0, (level - fit[rows, before]) / rise, 0)
    times = LOGS[before] + part * (LOGS[node] - LOGS[before])
    logs = np.log(floor - CHANCE) - times
    return _without_intervals(np.where((fit >= level).any(axis=1), logs, -np.inf))


def smoothed(reports: Array, floor: float, images: int) -> tuple[Array, ...]:
    """Estimate by `analysis.rate`, without shrinkage."""
    return _without_intervals(_smooth(reports, floor, images)[0])


def smoothed_and_shrunk(reports: Array, floor: float, images: int) -> tuple[Array, ...]:
    """Estimate as `rank` does."""
    logs, errors = _smooth(reports, floor, images)
    found = np.isfinite(logs)
    result = np.full((3, len(logs)), -np.inf)
    rates, low, high = shrink(np.exp(logs[found]), errors[found])
    result[:, found] = np.log([rates, low, high])
    ties = np.zeros(len(logs), dtype=bool)
    ties[found] = tied(rates, low)
    return (*result, ties)


def _smooth(reports: Array, floor: float, images: int) -> tuple[Array, Array]:
    rates = [
        accuracy_per_second(INSTANTS, curve, chance=CHANCE, floor=floor, images=images)
        for curve in reports
    ]
    return (
        np.array([-np.inf if rate is None else np.log(rate.value) for rate in rates]),
        np.array([np.nan if rate is None else rate.error for rate in rates]),
    )


RULES: dict[str, Rule] = {
    "luckiest report (before)": luckiest_report,
    "binomial lower bound": lower_bound,
    "isotonic regression": isotonic,
    "local logit regression": local_regression,
    "smoothed": smoothed,
    "smoothed and shrunk (now)": smoothed_and_shrunk,
}
NOW = "smoothed and shrunk (now)"


def measure(scenario: Scenario, rules: dict[str, Rule], searches: int) -> list[dict[str, Any]]:
    """Return one row per rule, all on the same searches."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in rules}
    slower: dict[str, list[float]] = {name: [] for name in rules}
    draw = np.random.default_rng(0)
    for _ in range(searches):
        reports, floor, truth = search(scenario, draw)
        for name, rule in rules.items():
            found[name].append(_judge(rule(reports, floor, scenario.images), truth))
        pace = draw.uniform(-1, 1.5)
        pair, floor, _ = search(scenario, draw, np.array([pace, pace + np.log(1.2)]))
        for name, rule in rules.items():
            fast, slow = rule(pair, floor, scenario.images)[0]
            slower[name].append(0.5 if slow == fast else float(slow > fast))
    rows = []
    for name in rules:
        over, regret, covered, winner, ties, best_tied = np.nanmean(found[name], axis=0)
        rows.append(
            {
                "rule": name,
                "scenario": scenario.name + " correlated" * scenario.correlated,
                "shape": scenario.shape,
                "images": scenario.images,
                "seed spread": scenario.seeds,
                "overstatement": float(np.exp(over)),
                "regret": float(np.exp(regret)),
                "slower wins": float(np.mean(slower[name])),
                **(
                    {
                        "coverage": float(covered), "of the winner": float(winner),
                        "tied": float(ties), "best is first or tied": float(best_tied),
                    }
                    if name == NOW
                    else dict.fromkeys(
                        ("coverage", "of the winner", "tied", "best is first or tied")
                    )
                ),
            }
        )  # fmt: skip
    return rows


def _judge(shown: tuple[Array, ...], truth: Array) -> tuple[float, ...]:
    """Return the winner's overstatement and regret, coverage, of the winner, ties, best in them."""
    logs, low, high, ties = shown
    winner, known = int(logs.argmax()), np.isfinite(logs) & np.isfinite(truth)
    best = int(np.nanargmax(truth))
    inside = (low <= truth) & (truth <= high)
    return (
        logs[winner] - truth[winner],
        truth[best] - truth[winner],
        float(inside[known].mean()),
        float(inside[winner]),
        float(ties.mean()),
        float(ties[best] or best == winner),
    )


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="20 searches of each scenario instead of 1,000")
    parser.add_argument("--searches", type=int, default=1000)
    options = parser.parse_args()
    searches = 20 if options.quick else options.searches
    console = Console()
    kinds = ("same", "spread", "cluster")
    rows = []
    # All rules where the issue is largest; the rule in use everywhere.
    for kind in kinds:
        for seeds in (0.0, SEED_SPREAD):
            rows += measure(Scenario(kind, seeds=seeds), RULES, searches)
    for kind in kinds:
        for scenario in (
            Scenario(kind, images=575, seeds=0.0),  # 0.4 of the digits
            Scenario(kind, images=1200, seeds=0.0),
            Scenario(kind, images=1200),
            Scenario(kind, shape="exponential"),
            Scenario(kind, correlated=True),
        ):
            rows += measure(scenario, {NOW: RULES[NOW]}, searches)
    print_rows(rows, console)
    finish(console, options.json, "ranking_rule", searches, rows)


if __name__ == "__main__":
    main()
