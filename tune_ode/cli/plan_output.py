"""What commands print before a search: the plan; it waits for no more imports than the plan did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tune_ode.paths import shown
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.plan import Plan


def print_plan(chosen: Plan, console: Console) -> None:
    """Print a plan."""
    question, limits, resources = chosen.options, chosen.budget, chosen.resources
    channels, height, width = chosen.shape
    lines = [
        f"data      {question.dataset}: {chosen.images} training images of "
        f"{channels}×{height}×{width}, {chosen.classes} classes",
    ]
    if question.command == "search":
        trials = f"{limits.trials} trials" if limits.trials else "trials without limit"
        until = f", {limits.seconds:g} s in all" if limits.seconds else ""
        until += f", {question.gpu_hours:g} GPU hours" if question.gpu_hours else ""
        until += (
            f", until {question.target_accuracy:g} is reached" if limits.target_accuracy else ""
        )
        lines += [
            f"search    space {question.space} ({pluralize(len(chosen.space.names), 'parameter')}), "
            f"objective {question.objective}, sampler {question.sampler}, scheduler "
            f"{question.scheduler}",
            *(f"fitted    {note}" for note in chosen.notes),
            f"budget    {trials}{until}, up to {limits.trial_seconds:.3g} s of training each",
            f"at once   {pluralize(resources.max_concurrent, 'trial')}, {resources.share}; "
            f"{resources.cluster.inventory}",
        ]
    lines.append(f"run       {shown(chosen.run_folder)}")
    if question.storage:
        lines.append(f"study     {chosen.study} in {question.storage}")
    for destination in chosen.log_targets:
        where = ""
        if destination.target is None and isinstance(chosen.run_folder, Path):
            where = f" in {shown(destination.place(chosen.run_folder))}"
        lines.append(f"log to    {destination}{where}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
