"""A comparison's accuracies over epochs: training beside test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.compared import Curve, load_compared
from analysis.load import Run
from analysis.plots import style
from analysis.ranking import Ranking
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class CaseLines:
    """A case's curves."""

    name: str
    train: Curve
    test: Curve


@dataclass(frozen=True)
class ComparedData:
    """What `plot_compared` draws."""

    cases: tuple[CaseLines, ...]
    dataset: str
    seeds: int


def compared_data(run: Run, ranking: Ranking) -> ComparedData | None:
    """Collect the cases' curves; None where the run is no comparison."""
    compared = load_compared(run)
    if compared is None:
        return None
    lines = tuple(
        CaseLines(case.name, case.train_curve, case.test_curve)
        for case in compared.cases
        if len(case.test_curve.epochs)
    )
    return ComparedData(lines, compared.dataset, compared.seeds) if lines else None


def plot_compared(data: ComparedData, figure: Figure) -> None:
    """Draw training and test accuracy over epochs, a line a case; a band spans its seeds."""
    panels = figure.subplots(1, 2, sharey=True)
    titles = ("training, augmented images", "test set")
    for ax, title, part in zip(panels, titles, ("train", "test"), strict=True):
        style.plain(ax)
        style.epoch_axis(ax)
        ax.set_title(title, loc="left", fontsize=10)
        for place, case in enumerate(data.cases):
            curve: Curve = getattr(case, part)
            look = place % len(style.COLOURS)
            ax.plot(
                curve.epochs, curve.mean, color=style.COLOURS[look], ls=style.LINES[look],
                marker=style.MARKERS[look], ms=4, lw=1.6, label=case.name,
            )  # fmt: skip
            ax.fill_between(
                curve.epochs, curve.low, curve.high, color=style.COLOURS[look], alpha=0.15, lw=0
            )
    panels[0].set_ylabel("accuracy (share)")
    panels[1].tick_params(axis="y", length=0)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower left", frameon=False, fontsize=9,
        ncols=4,
    )  # fmt: skip
    seeds = f", mean of {data.seeds} seeds" if data.seeds > 1 else ""
    figure.suptitle(
        f"Accuracy over epochs: {pluralize(len(data.cases), 'case')} on {data.dataset}{seeds}",
        x=0.01, ha="left", fontsize=12,
    )  # fmt: skip
