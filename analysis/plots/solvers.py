"""Solvers: accuracy per second by solver and gradient, function evaluations over training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.load import Run
from analysis.plots import style
from analysis.plots.style import Array, Band
from analysis.ranking import Ranking
from analysis.ranking.points import CLOCK_NAMES
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def solver_of(run: Run) -> pd.DataFrame:
    """Return `method` and `gradient` of every trial; empty strings if unknown."""
    solvers = [_solver(config) for config in run.trials["config"]]
    return pd.DataFrame(solvers, columns=["method", "gradient"], index=run.trials.index)


def _solver(config: Any) -> tuple[str, str]:
    solver = config.get("solver") if isinstance(config, dict) else None
    if not isinstance(solver, dict):
        return "", ""
    return str(solver.get("method", "")), str(solver.get("gradient", ""))


@dataclass(frozen=True)
class SolverGroup:
    """Trials of one solver and gradient."""

    method: str
    gradient: str
    rates: Array
    """Accuracy per second, best first, of trials at or above the floor and better than chance; a
    logarithmic axis cannot show others."""
    trials: int
    """Measured trials, including those below the floor."""


@dataclass(frozen=True)
class SolversData:
    """Input of `plot_solvers`."""

    groups: tuple[SolverGroup, ...]
    device: str
    """The first of the ranking; seconds on other devices are not comparable."""
    floor: float
    clock: str

    @property
    def methods(self) -> tuple[str, ...]:
        """Solvers by their best trial, best first."""
        best: dict[str, float] = {}
        for group in self.groups:
            first = float(group.rates[0]) if len(group.rates) else 0.0
            best[group.method] = max(best.get(group.method, -1.0), first)
        return tuple(sorted(best, key=lambda method: (-best[method], method)))

    @property
    def gradients(self) -> tuple[str, ...]:
        """Gradient methods, by name."""
        return tuple(sorted({group.gradient for group in self.groups}))


def solvers_data(run: Run, ranking: Ranking) -> SolversData | None:
    """Return accuracy per second by solver and gradient."""
    if not ranking.devices:
        return None
    table = ranking.table.merge(
        solver_of(run).assign(trial_id=run.trials["trial_id"]), on="trial_id", how="left"
    )
    device = ranking.devices[0]
    table = table[(table["device"] == device) & table["best_accuracy"].notna()]
    rates = table["accuracy_per_second"]
    table = table.assign(accuracy_per_second=rates.where(rates > 0))
    groups = [
        SolverGroup(
            str(method), str(gradient),
            np.sort(trials["accuracy_per_second"].dropna().to_numpy())[::-1], len(trials),
        )
        for (method, gradient), trials in table.groupby(["method", "gradient"])
        if method
    ]  # fmt: skip
    if not any(len(group.rates) for group in groups):
        return None
    return SolversData(tuple(groups), device, ranking.floor, ranking.clock)


def plot_solvers(data: SolversData, ax: Axes) -> None:
    """Draw a point per trial; a row per solver, a colour and marker per gradient."""
    style.log_axis(ax)
    methods, gradients = data.methods, data.gradients
    reached = sum(len(group.rates) for group in data.groups)
    ax.set_title(
        f"Accuracy per second by solver and gradient: {pluralize(reached, 'trial')} at or "
        f"above {data.floor:.4g} on {data.device}", loc="left",
    )  # fmt: skip
    height = 0.8 / len(gradients)
    for group in data.groups:
        colour = gradients.index(group.gradient) % len(style.COLOURS)
        row = methods.index(group.method) + (gradients.index(group.gradient) + 0.5) * height - 0.4
        ax.scatter(
            group.rates, row + style.jitter(group.rates, 0.6 * height), s=22, lw=0,
            color=style.COLOURS[colour], marker=style.MARKERS[colour],
            alpha=max(0.35, style.crowd_alpha(len(group.rates))), zorder=2,
        )  # fmt: skip
        if len(group.rates) > 2:
            ax.plot(
                [np.median(group.rates)] * 2, [row - 0.42 * height, row + 0.42 * height],
                color=style.COLOURS[colour], lw=2.2, solid_capstyle="butt", zorder=3,
            )  # fmt: skip
        ax.annotate(
            f"{len(group.rates)} of {group.trials}", (1.01, row), va="center", fontsize=7.5,
            xycoords=("axes fraction", "data"), color=style.INK,
        )  # fmt: skip
    for number, gradient in enumerate(gradients):
        colour = number % len(style.COLOURS)
        ax.scatter(
            [], [], s=28, color=style.COLOURS[colour], marker=style.MARKERS[colour], label=gradient
        )
    ax.set_yticks(range(len(methods)), methods)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_xlabel(f"accuracy per second of {CLOCK_NAMES[data.clock]} (1/s, logarithmic)")
    style.legend_below(ax, columns=4)


_EVALUATIONS = ("nfe_forward", "nfe_backward", "vjp_backward")
_TITLES = {
    "nfe_forward": "forward",
    "nfe_backward": "backward solve (adjoint)",
    "vjp_backward": "vector-Jacobian products",
}
_METHODS = len(style.COLOURS)
_BINS = 40


@dataclass(frozen=True)
class EvaluationsData:
    """Input of `plot_evaluations`."""

    bands: dict[str, dict[str, Band]]
    """`nfe_forward`, `nfe_backward`, `vjp_backward` → solver → median, 10th and 90th percentile
    over its trials that reached the epoch and do such evaluations."""
    trials: dict[str, int]
    """Number of trials by solver, most frequent first."""


def evaluations_data(run: Run, ranking: Ranking) -> EvaluationsData | None:
    """Return evaluations of the ODE function per batch over training, by solver."""
    reports = run.reports[["trial", "epoch", *_EVALUATIONS]].dropna()
    reports = reports.assign(method=solver_of(run)["method"].to_numpy()[reports["trial"]])
    reports = reports[reports["method"] != ""]
    if reports.empty:
        return None
    trials = reports.groupby("method")["trial"].nunique()
    trials = trials.sort_values(ascending=False, kind="stable")
    methods = [str(method) for method in trials.index[:_METHODS]]
    # bins of one epoch, or wider ones if there are too many to tell apart
    width = max(1.0, float(reports["epoch"].max()) / _BINS)
    reports = reports.assign(bin=np.ceil(reports["epoch"] / width) * width)
    bands = {column: _bands(reports, column, methods) for column in _EVALUATIONS}
    return EvaluationsData(bands, {method: int(trials[method]) for method in methods})


def _bands(reports: pd.DataFrame, column: str, methods: list[str]) -> dict[str, Band]:
    """Return a band for each solver over its trials that do such evaluations."""
    reports = reports[reports[column] > 0]
    by_bin = reports.groupby(["method", "bin"])[column]
    levels = by_bin.quantile(np.array([0.5, 0.1, 0.9])).unstack()
    known = set(reports["method"])
    return {
        method: Band(levels.loc[method].index.to_numpy(float), *levels.loc[method].to_numpy().T)
        for method in methods
        if method in known
    }


def plot_evaluations(data: EvaluationsData, figure: Figure) -> None:
    """Draw three panels, forward and backward, with a line and a band per solver."""
    (panels,) = style.grid(figure, 1, 3, gap=(0.5, 0.0))
    methods = list(data.trials)
    for ax, (column, bands) in zip(panels, data.bands.items(), strict=True):
        for method, band in bands.items():
            style.plot_band(ax, band, methods.index(method), method)
        ax.set_title(_TITLES[column], loc="left", fontsize=9)
        style.epoch_axis(ax)
        ax.set_ylim(bottom=0)
    panels[0].set_ylabel("evaluations of the ODE function per batch")
    # A trial without an ODE has no line.
    lines = panels[0].get_lines()
    names = [
        f"{line.get_label()} ({pluralize(data.trials[str(line.get_label())], 'trial')})"
        for line in lines
    ]
    style.legend_under_grid(figure, lines, names)
    style.heading(figure, "Function evaluations per batch over training")
