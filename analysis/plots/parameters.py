"""What parameters decide: importance, slices, parallel coordinates of the best tenth."""

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
from analysis.plots.scales import Missing, Scale, logarithmic, scales
from analysis.plots.style import Array
from analysis.ranking import Ranking
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.importance import Importances

_MOST_PANELS = 12


def _measured(run: Run, ranking: Ranking) -> pd.DataFrame:
    """Return the measured rows of the ranking's first device."""
    table = ranking.table[ranking.table["best_accuracy"].notna()]
    return table[table["device"] == ranking.devices[0]] if ranking.devices else table


def importance_data(run: Run, ranking: Ranking) -> Importances | None:
    """Return how much each parameter decides, for accuracy and for seconds per epoch."""
    # optuna takes half a second to import, and only this needs it
    from analysis.importance import importances

    table = _measured(run, ranking)
    pace = run.reports.groupby("trial_id")[["train_seconds", "epoch"]].last()
    seconds = (pace["train_seconds"] / pace["epoch"].where(pace["epoch"] > 0)).reindex(
        table["trial_id"]
    )
    log = logarithmic(run.manifest.space)
    return importances(table["params"], table["best_accuracy"], seconds.to_numpy(), log=log)


def plot_importance(data: Importances, ax: Axes) -> None:
    """Draw two bars a parameter: what decides accuracy, what decides seconds per epoch."""
    names = data.names[: 2 * _MOST_PANELS]
    both = (
        ("accuracy", data.by_accuracy, "", style.COLOURS[0]),
        ("training seconds per epoch", data.by_seconds, "////", style.COLOURS[1]),
    )
    for place, (what, shares, hatch, colour) in enumerate(both):
        ax.barh(
            np.arange(len(names)) + 0.4 * place - 0.2, [shares.get(name, 0.0) for name in names],
            height=0.38, color=colour, hatch=hatch, edgecolor="white", lw=0, label=what,
        )  # fmt: skip
    labels = [
        name if data.used[name] == data.trials else f"{name}\n(in {data.used[name]} trials only)"
        for name in names
    ]
    ax.set_yticks(range(len(names)), labels, fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(
        "share of what decides whether a trial is among the best (PED-ANOVA, sum 1),\n"
        f"of the parameters that at least {data.least} trials have"
    )
    ax.set_title(
        f"What decides accuracy and seconds: the best {data.best} of {data.trials} measured trials",
        loc="left",
    )
    ax.legend(frameon=False, fontsize=9, loc="lower right")


def _shown(known: Mapping[str, Scale], params: list[Mapping[str, Any]]) -> list[Scale]:
    """Return the scales of the parameters that most trials have, in the order of the space."""
    used = {name: sum(name in one for one in params) for name in known}
    most = sorted(known, key=lambda name: -used[name])[:_MOST_PANELS]
    return [scale for name, scale in known.items() if name in most]


@dataclass(frozen=True)
class SlicesData:
    """What `plot_slices` draws: a panel for each parameter."""

    scales: tuple[Scale, ...]
    positions: tuple[Array, ...]
    """Of each scale, each trial's place in [0, 1]; NaN where it lacks the parameter."""
    anytime: Array
    best: np.ndarray[Any, np.dtype[np.bool_]]
    """Whether a trial is among the best of the ranking."""
    left_out: int
    """Parameters for which there is no panel."""


def slices_data(run: Run, ranking: Ranking) -> SlicesData | None:
    """Collect the anytime area over the parameters that most trials have."""
    table = _measured(run, ranking)
    params = list(table["params"])
    known = scales(params, run.manifest.space)
    if not known or len(table) < 2:
        return None
    shown = _shown(known, params)
    best = np.arange(len(table)) < style.best_share(len(table))
    return SlicesData(
        tuple(shown),
        tuple(scale.position([one.get(scale.name, Missing) for one in params]) for scale in shown),
        table["anytime"].to_numpy(), best, len(known) - len(shown),
    )  # fmt: skip


def plot_slices(data: SlicesData, figure: Figure) -> None:
    """Draw a panel for each parameter: anytime area over its values."""
    columns = min(4, len(data.scales))
    rows = math.ceil(len(data.scales) / columns)
    panels = style.grid(figure, rows, columns, gap=(0.25, 0.8), sharey=True)
    for ax in panels.flat[len(data.scales) :]:
        ax.set_visible(False)
    faint = max(0.25, style.crowd_alpha(len(data.anytime)))
    for ax, scale, places in zip(panels.flat, data.scales, data.positions, strict=False):
        aside = style.jitter(places, 0.5 / max(len(scale.choices), 1)) if scale.choices else 0.0
        for chosen, colour, alpha, size in (
            (~data.best, style.OTHERS, faint, 9),
            (data.best, style.COLOURS[0], 0.9, 16),
        ):
            at = (places + aside)[chosen]
            ax.scatter(at, data.anytime[chosen], s=size, lw=0, color=colour, alpha=alpha)
        ticks = [(at, style.truncate(name, 14)) for at, name in scale.ticks()]
        crowded = sum(len(name) for _, name in ticks) > 26
        ax.set_xticks(
            [at for at, _ in ticks], [name for _, name in ticks], fontsize=7,
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
    """What `plot_parallel` draws: a line for each trial across an axis for each parameter."""

    scales: tuple[Scale, ...]
    positions: Array
    """Trials by scales, in [0, 1]; NaN where a trial lacks the parameter. The best come first."""
    best: int
    """How many of them are the best."""


_MOST_LINES = 300
_LACKING = -0.12
"""Where a line passes an axis whose parameter its trial lacks."""


def parallel_data(run: Run, ranking: Ranking) -> ParallelData | None:
    """Collect the parameters of the best of the ranking, and of others for comparison."""
    table = _measured(run, ranking)
    params = list(table["params"])
    shown = _shown(scales(params, run.manifest.space), params)
    if len(shown) < 2 or len(table) < 2:
        return None
    rest = math.ceil(len(params) / _MOST_LINES)
    best = style.best_share(len(params))
    kept = params[:best] + params[best::rest]
    places = np.column_stack(
        [scale.position([one.get(scale.name, Missing) for one in kept]) for scale in shown]
    )
    return ParallelData(tuple(shown), places, best)


def plot_parallel(data: ParallelData, ax: Axes) -> None:
    """Draw the best in colour, the first of them most; others grey."""
    axes = np.arange(len(data.scales))
    # equal choices lie on one line: a little aside, they can be counted
    aside = style.jitter(data.positions[:, 0], 0.04)[:, None]
    places = np.where(np.isnan(data.positions), _LACKING, data.positions) + aside
    lines = [np.column_stack([axes, row]) for row in places]
    others, best = lines[data.best :], lines[: data.best]
    faint = style.crowd_alpha(len(others)) / 2
    ax.add_collection(
        LineCollection(others, color=style.OTHERS, lw=0.6, alpha=faint, zorder=1, rasterized=True)
    )
    width = 1.3 if len(best) <= 20 else 0.7
    for place, line in reversed(list(enumerate(best))):
        share = place / max(len(best) - 1, 1)
        ax.plot(
            line[:, 0], line[:, 1], color=style.COLOURS[1] if place == 0 else style.COLOURS[0],
            lw=2.2 if place == 0 else width, alpha=1 if place == 0 else 0.9 - 0.6 * share,
            zorder=4 if place == 0 else 3,
            label={0: "first of the ranking", 1: f"the others of the best {data.best}"}.get(place),
        )  # fmt: skip
    for at, scale in enumerate(data.scales):
        ax.axvline(at, color=style.INK, lw=0.7, zorder=2)
        for height, name in scale.ticks():
            ax.annotate(
                style.truncate(name, 14), (at, height), xytext=(3, 0), va="center", fontsize=7,
                textcoords="offset points", zorder=5,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
            )  # fmt: skip
    names = [scale.name + (" (log)" if scale.log else "") for scale in data.scales]
    ax.set_xticks(axes, names, fontsize=7.5, rotation=30, ha="right")
    lacking = bool(np.isnan(data.positions).any())
    ax.set_yticks([_LACKING] if lacking else [], ["not used"] if lacking else [], fontsize=8)
    ax.set(xlim=(-0.1, len(axes) - 0.5), ylim=(_LACKING - 0.06 if lacking else -0.06, 1.08))
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_title(f"Parameters of the best {data.best} of the ranking", loc="left")
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
