"""The help of every command is readable at 80 columns."""

import pytest
import typer

from tune_ode.cli.main import app
from tune_ode.cli.options.panels import PANELS

COMMANDS = typer.main.get_command(app).commands


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_every_option_in_one_piece(tune_ode, command):
    status, out, _ = tune_ode(command, "--help")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    for parameter in COMMANDS[command].params:
        name = parameter.opts[0].removeprefix("--")
        if parameter.param_type_name == "option":
            assert f"--{name}" in out or f"--[no-]{name}" in out
            assert parameter.rich_help_panel in PANELS or parameter.name in ("follow", "address")
            assert parameter.help


def test_help_of_search_fits_one_and_a_half_screens(tune_ode):
    _, out, _ = tune_ode("search", "--help")
    assert len(out.splitlines()) <= 76
    titles = [line.split()[1] for line in out.splitlines() if line.startswith("╭")]
    assert titles == list(PANELS)


def test_help_shows_actual_defaults(tune_ode):
    _, out, _ = tune_ode("search", "--help")
    text = " ".join(out.replace("│", " ").split())
    for default in ("[default: digits]", "[default: quick]", "Default: 4min", "[default: runs]"):
        assert default in text
