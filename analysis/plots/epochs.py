"""One trial over its epochs: loss, accuracy, function evaluations, throughput."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.load import RUNNING, Run
from analysis.plots import style
from analysis.plots.style import Array
from analysis.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class EpochsData:
    """Input of `plot_epochs`: the reports of a trial."""

    trial_id: str
    outcome: str
    epochs: Array
    columns: dict[str, Array]
    """Columns of the reports; NaN where not measured."""


_PANELS = (
    ("loss", "mean cross-entropy", {"train_loss": "training", "val_loss": "validation"}),
    ("accuracy", "share", {"train_accuracy": "training, augmented", "val_accuracy": "validation"}),
    (
        "evaluations",
        "per batch",
        {
            "nfe_forward": "forward",
            "nfe_backward": "backward solve (adjoint)",
            "vjp_backward": "vector-Jacobian products",
        },
    ),
    ("throughput", "training images per second", {"samples_per_second": "training"}),
)


def epochs_data(run: Run, ranking: Ranking) -> EpochsData | None:
    """Return the reports of the first trial in the ranking."""
    measured = ranking.table[ranking.table["best_accuracy"].notna()]
    if measured.empty:
        return None
    trial_id = str(measured["trial_id"].iloc[0])
    reports = run.reports[run.reports["trial_id"] == trial_id]
    names = [name for _, _, columns in _PANELS for name in columns]
    outcome = str(run.trials.loc[run.trials["trial_id"] == trial_id, "outcome"].iloc[0])
    return EpochsData(
        trial_id, outcome if outcome != RUNNING else "still running", reports["epoch"].to_numpy(),
        {name: reports[name].to_numpy() for name in names},
    )  # fmt: skip


def plot_epochs(data: EpochsData, figure: Figure) -> None:
    """Draw four panels over epochs: loss, accuracy, function evaluations, throughput."""
    panels = style.grid(figure, 2, 2, gap=(0.6, 0.8))
    for ax, (title, unit, columns) in zip(panels.flat, _PANELS, strict=True):
        for number, (name, label) in enumerate(columns.items()):
            style.plot_series(ax, data.epochs, data.columns[name], number, label)
        ax.set_title(f"{title} ({unit})", loc="left", fontsize=10)
        style.epoch_axis(ax)
        if title != "loss":
            ax.set_ylim(bottom=0)
        if len(columns) > 1:
            ax.legend(frameon=False, fontsize=8)
    style.heading(figure, f"Trial {data.trial_id}, {data.outcome}, by epoch")
