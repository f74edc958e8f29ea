"""An option that a message names can be typed on every command that prints the message."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer

import tune_ode
from tune_ode.cli import main

ROOT = Path(tune_ode.__file__).parent.parent
OPTION = re.compile(r"(?:tune-ode (?P<command>\w+)[^;:]*? )?(?P<option>--[a-z][a-z-]+)")
NEW = {"search", "submit", "train"}
TRAINING = NEW - {"submit"} | {"resume", "confirm", "compare"}
JOBS = {"submit", "status", "logs", "stop", "resume"}
COMMANDS = {
    "analysis/report.py": {"report"},
    "search_spaces/space.py": {"search", "submit"},
    "search_spaces/validate.py": {"search", "submit"},
    "tune_ode/api/resolve.py": {"train", "draw"},
    "tune_ode/catalog/find.py": NEW | {"compare"},
    "tune_ode/cli/display/simulation.py": {"simulate"},
    "tune_ode/cli/display/ranking/legend.py": {"rank"},
    "tune_ode/cli/notification.py": {"search", "resume"},
    "tune_ode/cli/resolve.py": NEW | {"compare"},
    "tune_ode/cluster/jobs.py": JOBS,
    "tune_ode/cluster/request.py": {"submit"},
    "tune_ode/data/sources/download.py": TRAINING | {"draw"},
    "tune_ode/data/sources/folder.py": TRAINING | {"draw"},
    "tune_ode/data/sources/listing.py": TRAINING | {"draw"},
    "tune_ode/data/splits/overlap.py": {"search", "train"},
    "tune_ode/data/splits/split.py": NEW | {"compare"},
    "tune_ode/export.py": {"export"},
    "tune_ode/machine/resources.py": TRAINING,
    "tune_ode/pictures/draw.py": {"draw"},
    "tune_ode/replication/cases.py": {"compare"},
    "tune_ode/replication/compare_plan.py": {"compare"},
    "tune_ode/runs/location.py": NEW | {"compare"},
    "tune_ode/runs/open.py": NEW | {"compare"},
    "tune_ode/runs/relocation.py": {"resume", "confirm", "draw"},
    "tune_ode/simulation/recordings.py": {"simulate"},
    "tune_ode/tuning/budget.py": {"search", "submit", "resume"},
    "tune_ode/tuning/options.py": NEW,
    "tune_ode/tuning/plan.py": {"search", "resume"},
    "tune_ode/tuning/ray_backend/join.py": {"search", "resume"},
    "tune_ode/tuning/log_to/targets.py": {"search", "submit", "resume"},
    "tune_ode/tuning/ray_backend/startup.py": {"search", "resume"},
    "tune_ode/tuning/search/crashes.py": {"search", "resume"},
    "tune_ode/tuning/search/progress.py": {"search", "resume"},
    "tune_ode/tuning/study/initial_configs.py": {"search"},
    "tune_ode/tuning/study/samplers.py": {"search", "submit"},
    "tune_ode/tuning/study/storage.py": {"search", "submit", "resume"},
    "tune_ode/tuning/study/warm_start.py": {"search"},
    "tune_ode/trust.py": NEW | {"resume", "confirm", "compare", "simulate"},
}
"""File → the commands that can print its messages."""
FEWER = {
    # they say that a new run has them
    ("tune_ode/data/sources/folder.py", "--fix"): NEW | {"compare"},
    ("tune_ode/data/sources/folder.py", "--skip-broken"): NEW | {"compare"},
    ("tune_ode/cli/resolve.py", "--set"): {"search", "submit"},
    ("tune_ode/tuning/options.py", "--sampler"): {"search", "submit"},
    ("tune_ode/tuning/options.py", "--set"): {"search", "submit"},
    # other commands run one training at a time
    ("tune_ode/machine/resources.py", "--max-concurrent"): {"search", "resume"},
    ("tune_ode/tuning/plan.py", "--dataset"): {"train"},
    ("tune_ode/tuning/study/storage.py", "--name"): {"search", "submit"},
}
"""File and option, in messages of fewer commands."""
BUILT_FROM_OPTIONS = {
    "tune_ode/cli/app.py": "--help",
    "analysis/page/text.py": "the command of the run",
    "tune_ode/cli/commands": "of the command itself",
    "tune_ode/cli/mistakes.py": "of the command that is named",
    "tune_ode/cli/help.py": "the options",
    "tune_ode/cli/options": "the options",
    "tune_ode/runs/provenance.py": "of git",
    "tune_ode/tuning/ray_backend/agent.py": "of an agent of Ray",
}


@cache
def options_of(command: str) -> set[str]:
    parameters = typer.main.get_command(main.app).commands[command].params
    return {name for parameter in parameters for name in parameter.opts + parameter.secondary_opts}


def messages(file: Path) -> list[str]:
    """Return the texts of a file, with … for what is inserted, without docstrings."""
    found = []

    def visit(node: ast.AST) -> None:
        match node:
            case ast.Expr(value=ast.Constant()):
                return
            case ast.JoinedStr(values=parts):
                texts = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
                found.append("".join(texts))
                children = [part for part in parts if not isinstance(part, ast.Constant)]
            case ast.Constant(value=str(text)):
                found.append(text)
                children = []
            case _:
                children = list(ast.iter_child_nodes(node))
        for child in children:
            visit(child)

    visit(ast.parse(file.read_text()))
    return found


def mentions() -> list[tuple[str, str, str, str]]:
    found = []
    for package in ("tune_ode", "analysis", "search_spaces"):
        for file in sorted((ROOT / package).rglob("*.py")):
            name = str(file.relative_to(ROOT))
            if name.startswith(tuple(BUILT_FROM_OPTIONS)):
                continue
            for text in messages(file):
                for match in OPTION.finditer(text):
                    commands = {match["command"]} if match["command"] else None
                    commands = commands or FEWER.get((name, match["option"]))
                    assert commands or name in COMMANDS, f"add {name} to COMMANDS: {text}"
                    commands = commands or COMMANDS[name]
                    found += [(name, one, match["option"], text) for one in sorted(commands)]
    return found


def test_every_option_in_a_message_can_be_typed():
    found = mentions()
    assert len(found) > 100
    untypeable = [one for one in found if one[2] not in options_of(one[1])]
    assert untypeable == []


@pytest.mark.parametrize("file", sorted(COMMANDS))
def test_the_table_of_commands_is_current(file):
    assert any("--" in text for text in messages(ROOT / file))
