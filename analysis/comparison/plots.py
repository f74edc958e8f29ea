"""Plot of a comparison: training and test accuracy over epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.comparison.data import ComparisonSummary
from analysis.plots import style
from analysis.plots.plot import Plot, several_panels
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison_plots(comparison: ComparisonSummary) -> tuple[Plot[[]], ...]:
    """Return the plots of a comparison."""
    reported = any(len(case.test_curve.epochs) for case in comparison.cases)
    return (
        Plot(
            "comparison",
            "Higher is better. Each line is a case, averaged over its seeds; the band spans its "
            "worst and best seed. If the lines coincide, the cases learn equally well and differ "
            "in seconds only.",
            lambda: several_panels(comparison if reported else None, plot_comparison, 4.4),
        ),
    )


def plot_comparison(comparison: ComparisonSummary, figure: Figure) -> None:
    """Plot accuracy over epochs: training on the left, test on the right, one line per case."""
    cases = [case for case in comparison.cases if len(case.test_curve.epochs)]
    (panels,) = style.grid(figure, 1, 2, gap=(0.25, 0.0), sharey=True)
    titles = ("training, augmented images", "test set")
    for ax, title, part in zip(panels, titles, ("train_curve", "test_curve"), strict=True):
        style.epoch_axis(ax)
        ax.set_title(title, loc="left", fontsize=10)
        for number, case in enumerate(cases):
            style.plot_band(ax, getattr(case, part), number, case.name)
    panels[0].set_ylabel("accuracy (share)")
    panels[1].tick_params(axis="y", length=0)
    style.legend_under_grid(figure, *panels[0].get_legend_handles_labels())
    seeds = f", mean of {comparison.seeds} seeds" if comparison.seeds > 1 else ""
    style.heading(
        figure,
        f"Accuracy over epochs: {pluralize(len(cases), 'case')} on {comparison.dataset}{seeds}",
    )
