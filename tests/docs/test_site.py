"""The generated pages of the site are complete; `make docs` builds them."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import tune_ode
from tune_ode.cli.main import app  # noqa: F401  # every command
from tune_ode.config import TrialConfig
from tune_ode.config.fields import _walk, config_fields
from tune_ode.config.trial import TAGS

DOCS = Path(__file__).parents[2] / "docs"


def generate(name: str, page: str) -> str:
    """Return what a hook of the site makes of a page."""
    hook = runpy.run_path(str(DOCS / "generate" / f"{name}.py"))["on_page_markdown"]
    file = SimpleNamespace(src_uri=page)
    return hook(DOCS.joinpath(page).read_text(encoding="utf-8"), page=SimpleNamespace(file=file))


def test_the_page_on_the_command_line_has_each_command_and_its_options_by_panel():
    page = generate("command_line", "reference/command-line.md")
    search = page.split("## search\n")[1].split("\n## ")[0]
    assert search.index("**Question**") < search.index("`--dataset NAME`") < search.index("Budget")
    assert "[default: digits]" in search
    assert search.index("**Output**") < search.index("**Advanced**") < search.index("`--config")
    index = DOCS.joinpath("index.md").read_text(encoding="utf-8")
    for heading in page.split("\n## ")[1:]:
        assert f"`{heading.split()[0]}" in index, "the index lists every command"


def test_the_page_on_the_configuration_has_each_field_with_its_default_and_range():
    page = generate("configuration", "reference/configuration.md")
    assert [
        path for path in config_fields() if f"| `{path}` |" not in page and path not in TAGS
    ] == []
    assert "| `optimizer.learning_rate` | `0.02` | number, > 0, ≤ 100 | Learning rate of" in page
    assert "| `model.stem.stages` | `null` | integer, ≥ 0, ≤ 4, `null` |" in page
    assert "### solver.method: euler, midpoint" in page


def test_each_field_of_the_configuration_says_what_it_means():
    undescribed = {path for path, info in _walk(TrialConfig, "") if not info.description}
    assert undescribed <= set(TAGS), "the section of a tag says what it selects"


def test_the_page_on_python_has_each_public_name():
    page = DOCS.joinpath("reference/python.md").read_text(encoding="utf-8")
    assert [name for name in tune_ode.__all__ if f"tune_ode.{name}" not in page] == []
