"""The examples in docs/how-to/search-spaces.md work."""

import re
from pathlib import Path

import pytest

from search_spaces import PRESETS, resolve_space, to_tree
from search_spaces.validate import validate
from tune_ode.cli.main import run
from tune_ode.config import TrialConfig

GUIDE = (
    Path(__file__).parents[2].joinpath("docs/how-to/search-spaces.md").read_text(encoding="utf-8")
)
YAML_BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_space_passes_the_check(working_directory, capsys):
    (working_directory / "mine.yaml").write_text(YAML_BLOCKS[0])
    assert run(["search", "--space", "mine.yaml", "--check"]) == 0
    assert f"({len(resolve_space('mine.yaml').names)} parameters)" in capsys.readouterr().out


def test_the_options_pass_the_check(working_directory, capsys):
    (working_directory / "options.yaml").write_text(YAML_BLOCKS[1])
    assert run(["search", "--config", "options.yaml", "--trials", "50", "--check"]) == 0
    assert "50 trials, 600 s in total" in capsys.readouterr().out


def test_the_module_defines_a_space():
    module = {}
    exec(PYTHON_BLOCKS[0], module)
    validate(module["DEEP"], TrialConfig())
    assert "solver.gradient" not in module["DEEP"].names


def test_the_commands_that_restrict_a_space_are_valid(working_directory, capsys):
    commands = re.findall(r"^tune-ode (search --space full --(?:fix|set).*)$", GUIDE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        arguments = command.replace('"', "").split()
        assert run([*arguments, "--check"]) == 0, capsys.readouterr().err


def test_the_tree_and_the_table_are_up_to_date():
    assert to_tree(resolve_space("solvers")) in GUIDE
    for name in PRESETS:
        assert f"| `{name}` | {len(resolve_space(name).names)} |" in GUIDE
