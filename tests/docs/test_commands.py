"""The commands in README and the documentation have the options that the program has."""

import re
import shlex
from itertools import takewhile

import pytest
import typer

from tests.docs.test_links import DOCUMENTS, ROOT
from tune_ode.cli.main import app

BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
SHELL = {">", "|", "&", "&&", ";"}
COMMANDS = typer.main.get_command(app).commands


def commands(page):
    """Return the arguments of each command of `tune-ode` in the code blocks of a page."""
    blocks = (re.sub(r"\\\n\s*", "", block) for block in BLOCK.findall(page.read_text()))
    lines = (line.strip() for block in blocks for line in block.splitlines())
    calls = (shlex.split(line, comments=True) for line in lines if line.startswith("tune-ode "))
    return [list(takewhile(lambda word: word not in SHELL, call[1:])) for call in calls]


PAGES = [page for page in DOCUMENTS if page.name != "CHANGELOG.md" and commands(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_are_valid(page):
    for name, *arguments in commands(page):
        COMMANDS[name].make_context(name, list(arguments), resilient_parsing=False)


def test_readme_has_commands():
    assert {"search", "train", "submit"} <= {name for name, *_ in commands(ROOT / "README.md")}


def test_the_index_lists_every_command():
    table = (ROOT / "docs" / "index.md").read_text().partition("## Commands")[2]
    first = [row.split(" | ")[0] for row in table.splitlines() if row.startswith("| `")]
    assert {name for cell in first for name in re.findall(r"`(\w+)", cell)} == set(COMMANDS)
