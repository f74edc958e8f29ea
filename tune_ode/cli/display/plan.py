"""Print the plan of a search, without importing more than planning does."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tune_ode.paths import display_path
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tune_ode.tuning.plan import Plan

_FIELD = 10
"""Characters of a field's name."""


def print_plan(plan: Plan, console: Console) -> None:
    """Print the plan of a search or training."""
    options, budget, resources = plan.options, plan.budget, plan.resources
    channels, height, width = plan.shape
    lines = [
        f"data      {options.dataset}: {plan.images} training images of "
        f"{channels}×{height}×{width}, {plan.classes} classes",
        *(f"note      {note}" for note in plan.notes),
    ]
    if options.command == "search":
        trials = pluralize(budget.trials, "trial") if budget.trials else "unlimited trials"
        until = f", {budget.seconds:g} s in total" if budget.seconds else ""
        until += f", {options.gpu_hours:g} GPU hours" if options.gpu_hours else ""
        until += f", until accuracy {budget.target_accuracy:g}" if budget.target_accuracy else ""
        patience = pluralize(budget.patience or 0, "trial")
        until += f", until {patience} do not improve the objective" if budget.patience else ""
        lines += [
            f"search    space {options.space} ({pluralize(len(plan.space.names), 'parameter')}), "
            f"objective {options.objective}, sampler {options.sampler}, scheduler "
            f"{options.scheduler}",
            f"budget    {trials}{until}, up to {budget.trial_seconds:.3g} s of training each",
            f"workers   {pluralize(resources.max_concurrent, 'concurrent trial')}, "
            f"{resources.per_trial} each; {resources.cluster.inventory}",
        ]
    else:
        lines.append(f"on        {resources.per_trial}; {resources.cluster.inventory}")
    lines.append(f"run       {display_path(plan.run_folder)}")
    if options.storage:
        lines.append(f"study     {plan.study_name} in {options.storage}")
    for target in plan.log_targets:
        where = ""
        if target.target is None and isinstance(plan.run_folder, Path):
            where = f" in {display_path(target.path(plan.run_folder))}"
        lines.append(f"log to    {target}{where}")
    print_fields(lines, console)


def print_fields(lines: Iterable[str], console: Console) -> None:
    """Print lines that begin with a name of ten characters, in a terminal with hanging indents."""
    for line in lines:
        if console.is_terminal:  # a path stays on one line, so that it can be copied
            width = max(console.width - _FIELD, 1)
            parts = textwrap.wrap(
                line[_FIELD:], width, break_long_words=False, break_on_hyphens=False
            )
            line = line[:_FIELD] + f"\n{' ' * _FIELD}".join(parts)
        console.print(line, highlight=False, markup=False, soft_wrap=True)
