"""Parameters: importance, slices, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection

from analysis.load import Run
from analysis.plots import style
from analysis.plots.scales import Scale, logarithmic, scales
from analysis.plots.style import Array
from analysis.ranking import Ranking
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.importance import Importances

_MOST_PANELS = 12


def _measured(ranking: Ranking) -> pd.DataFrame:
    """Return the measured rows of the ranking's first device."""
    table = ranking.table[ranking.table["best_accuracy"].notna()]
    return table[table["device"] == ranking.devices[0]] if ranking.devices else table


def importance_data(run: Run, ranking: Ranking) -> Importances | None:
    """Return the importance of each parameter for accuracy and for seconds per epoch."""
    # Importing Optuna takes half a second; only this plot needs it.
    from analysis.importance import importances

    table = _measured(ranking)
    pace = run.reports.groupby("trial_id")[["train_seconds", "epoch"]].last()
    seconds = (pace["train_seconds"] / pace["epoch"].where(pace["epoch"] > 0)).reindex(
        table["trial_id"]
    )
    log = logarithmic(run.manifest.space)
    return importances(table["params"], table["best_accuracy"], seconds.to_numpy(), log=log)


def plot_importance(data: Importances, ax: Axes) -> None:
    """Draw two bars per parameter: importance for accuracy and for seconds per epoch."""
    names = data.names[: 2 * _MOST_PANELS]
    series = (
        ("accuracy", data.by_accuracy, "", style.COLOURS[0]),
        ("training seconds per epoch", data.by_seconds, "////", style.COLOURS[1]),
    )
    for number, (label, shares, hatch, colour) in enumerate(series):
        ax.barh(
            np.arange(len(names)) + 0.4 * number - 0.2, [shares.get(name, 0.0) for name in names],
            height=0.38, color=colour, hatch=hatch, edgecolor="white", lw=0, label=label,
        )  # fmt: skip
    labels = [
        name if data.used[name] == data.trials else f"{name}\n(in {data.used[name]} trials only)"
        for name in names
    ]
    ax.set_yticks(range(len(names)), labels, fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(
        "importance for being among the best (PED-ANOVA, sum 1),\n"
        f"of parameters in at least {data.least} trials"
    )
    ax.set_title(
        f"Parameter importance: the best {data.best} of {data.trials} measured trials",
        loc="left",
    )
    ax.legend(frameon=False, fontsize=9, loc="lower right")


def _shown(known: Mapping[str, Scale], params: list[Mapping[str, Any]]) -> list[Scale]:
    """Return the scales of the parameters that most trials have, in the order of the space."""
    used = {name: sum(name in trial for trial in params) for name in known}
    most = sorted(known, key=lambda name: -used[name])[:_MOST_PANELS]
    return [scale for name, scale in known.items() if name in most]


@dataclass(frozen=True)
class SlicesData:
    """Input of `plot_slices`: a panel per parameter."""

    scales: tuple[Scale, ...]
    positions: tuple[Array, ...]
    """By scale, the position of each trial in [0, 1]; NaN if it lacks the parameter."""
    anytime: Array
    best: np.ndarray[Any, np.dtype[np.bool_]]
    """Whether a trial is among the best of the ranking."""
    left_out: int
    """Number of parameters without a panel."""


def slices_data(run: Run, ranking: Ranking) -> SlicesData | None:
    """Return the anytime area over the parameters that most trials have."""
    table = _measured(ranking)
    params = list(table["params"])
    known = scales(params, run.manifest.space)
    if not known or len(table) < 2:
        return None
    shown = _shown(known, params)
    best = np.arange(len(table)) < style.best_share(len(table))
    positions = tuple(scale.positions(params) for scale in shown)
    anytime = table["anytime"].to_numpy()
    return SlicesData(tuple(shown), positions, anytime, best, len(known) - len(shown))


def plot_slices(data: SlicesData, figure: Figure) -> None:
    """Draw the anytime area over the values of each parameter."""
    columns = min(4, len(data.scales))
    rows = math.ceil(len(data.scales) / columns)
    panels = style.grid(figure, rows, columns, gap=(0.25, 0.8), sharey=True)
    for ax in panels.flat[len(data.scales) :]:
        ax.set_visible(False)
    faint = max(0.25, style.crowd_alpha(len(data.anytime)))
    for ax, scale, positions in zip(panels.flat, data.scales, data.positions, strict=False):
        x = positions
        if scale.choices:
            x = x + style.jitter(x, 0.5 / len(scale.choices))
        for mask, colour, alpha, size in (
            (~data.best, style.OTHERS, faint, 9),
            (data.best, style.COLOURS[0], 0.9, 16),
        ):
            ax.scatter(x[mask], data.anytime[mask], s=size, lw=0, color=colour, alpha=alpha)
        ticks = [(x, style.truncate(name, 14)) for x, name in scale.ticks()]
        crowded = sum(len(name) for _, name in ticks) > 26
        ax.set_xticks(
            [x for x, _ in ticks], [name for _, name in ticks], fontsize=7,
            rotation=35 if crowded else 0, ha="right" if crowded else "center",
        )  # fmt: skip
        ax.set_xlim(-0.15, 1.15)
        label = style.truncate(scale.name, 28) + (" (log)" if scale.log else "")
        ax.set_title(label, loc="left", fontsize=7.5)
    for row in panels:
        row[0].set_ylabel("anytime area", fontsize=8)
        row[0].tick_params(labelsize=7)
    more = f"; {data.left_out} more are not shown" if data.left_out else ""
    style.heading(
        figure,
        f"Anytime area by parameter: {pluralize(len(data.anytime), 'trial')}, the best "
        f"{data.best.sum()} in blue{more}",
    )


@dataclass(frozen=True)
class ParallelData:
    """Input of `plot_parallel`: a line per trial, an axis per parameter."""

    scales: tuple[Scale, ...]
    positions: Array
    """(trials, scales), in [0, 1], the best first; NaN if a trial lacks the parameter."""
    best: int
    """Number of trials that count as the best."""


_MOST_LINES = 300
_MISSING = -0.12
"""Height at which a line crosses the axis of a parameter that its trial lacks."""


def parallel_data(run: Run, ranking: Ranking) -> ParallelData | None:
    """Return the parameters of the best trials, and of others for comparison."""
    table = _measured(ranking)
    params = list(table["params"])
    shown = _shown(scales(params, run.manifest.space), params)
    if len(shown) < 2 or len(table) < 2:
        return None
    step = math.ceil(len(params) / _MOST_LINES)
    best = style.best_share(len(params))
    kept = params[:best] + params[best::step]
    positions = np.column_stack([scale.positions(kept) for scale in shown])
    return ParallelData(tuple(shown), positions, best)


def plot_parallel(data: ParallelData, ax: Axes) -> None:
    """Draw the best trials in colour, the first one emphasized, and others in grey."""
    axes = np.arange(len(data.scales))
    # Jitter separates lines with equal choices.
    jitter = style.jitter(data.positions[:, 0], 0.04)[:, None]
    heights = np.where(np.isnan(data.positions), _MISSING, data.positions) + jitter
    lines = [np.column_stack([axes, row]) for row in heights]
    others, best = lines[data.best :], lines[: data.best]
    faint = style.crowd_alpha(len(others)) / 2
    ax.add_collection(
        LineCollection(others, color=style.OTHERS, lw=0.6, alpha=faint, zorder=1, rasterized=True)
    )
    width = 1.3 if len(best) <= 20 else 0.7
    for number, line in reversed(list(enumerate(best))):
        first, share = number == 0, number / max(len(best) - 1, 1)
        ax.plot(
            line[:, 0], line[:, 1], color=style.COLOURS[1 if first else 0],
            lw=2.2 if first else width, alpha=1 if first else 0.9 - 0.6 * share,
            zorder=4 if first else 3,
            label={0: "first of the ranking", 1: f"others of the best {data.best}"}.get(number),
        )  # fmt: skip
    for x, scale in enumerate(data.scales):
        ax.axvline(x, color=style.INK, lw=0.7, zorder=2)
        for y, name in scale.ticks():
            ax.annotate(
                style.truncate(name, 14), (x, y), xytext=(3, 0), va="center", fontsize=7,
                textcoords="offset points", zorder=5,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
            )  # fmt: skip
    names = [scale.name + (" (log)" if scale.log else "") for scale in data.scales]
    ax.set_xticks(axes, names, fontsize=7.5, rotation=30, ha="right")
    missing = bool(np.isnan(data.positions).any())
    ax.set_yticks([_MISSING] if missing else [], ["not used"] if missing else [], fontsize=8)
    ax.set(xlim=(-0.1, len(axes) - 0.5), ylim=(_MISSING - 0.06 if missing else -0.06, 1.08))
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_title(f"Parameters of the best {data.best} of the ranking", loc="left")
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
