"""The API has the options of the command line, by the same names, with the same defaults."""

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

import tune_ode as to
from tune_ode.api import arguments
from tune_ode.api.arguments import SearchArguments, TrainArguments, option_values
from tune_ode.cli.main import app
from tune_ode.errors import UsageError
from tune_ode.replication.compare_plan import CompareOptions
from tune_ode.replication.confirm_plan import ConfirmOptions
from tune_ode.tuning.options import SearchOptions

COMMANDS = typer.main.get_command(app).commands
ONLY_TYPED = {"config", "check", "notify", "profile", "as_json"}
"""Options for a terminal: a script has its own variables, functions and notifications."""
OF_THE_FUNCTION = {"run", "configuration", "trust", "verbose"}


def options(command):
    names = {parameter.name for parameter in COMMANDS[command].params}
    return {"set" if name == "restrict" else name for name in names - ONLY_TYPED - {"help"}}


@pytest.mark.parametrize("command", ["search", "resume", "train", "confirm", "compare"])
def test_a_function_has_the_options_of_its_command(command):
    parameters = inspect.signature(getattr(to, command)).parameters
    accepted = {name for name in parameters if name not in ("on_report", "progress")}
    assert accepted == options(command) - ({"trust"} - accepted)
    typed = get_type_hints(getattr(arguments, f"{command.title()}Arguments"))
    assert accepted - typed.keys() <= OF_THE_FUNCTION


@pytest.mark.parametrize(
    ("command", "model"),
    [("search", SearchOptions), ("confirm", ConfirmOptions), ("compare", CompareOptions)],
)
def test_defaults_are_those_of_the_model_and_of_the_command_line(command, model):
    parameters = inspect.signature(getattr(to, command)).parameters
    typed = {parameter.name: parameter.default for parameter in COMMANDS[command].params}
    for name, field in model.model_fields.items():
        if name == "command" or (command == "confirm" and name == "dataset"):
            continue
        default = parameters["set" if name == "restrict" else name].default
        assert default == field.get_default(call_default_factory=True)
        assert (typed[name] or None) == (default or None) or name == "cases"


def test_values_are_those_that_the_command_line_would_give():
    given = {
        "time_budget": "1h30m", "trial_seconds": 5, "output": Path("elsewhere"), "space": "full",
        "start_from": Path("a.yaml"), "log_to": ("tensorboard",), "set": {"model.width": "8..16"},
        "precision": "bf16", "skip_broken": True, "fix": {"training.epochs": 3}, "name": None,
    }  # fmt: skip
    found = SearchOptions.from_dict(option_values(given, SearchArguments))
    assert found.time_budget == 5400
    assert found.trial_seconds == 5
    assert (found.output, found.space) == ("elsewhere", "full")
    assert (found.start_from, found.log_to) == (["a.yaml"], ["tensorboard"])
    assert found.restrict == {"model.width": "8..16"}
    assert found.name is None
    assert found.fix == {
        "training.epochs": 3, "execution.precision": "bf16", "data.skip_broken": True
    }  # fmt: skip
    assert option_values({"name": None, "skip_broken": False}, TrainArguments) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trails": 3}, "unknown option 'trails'; did you mean 'trials'"),
        ({"time_budget": "soon"}, "expected a duration such as 90s"),
        ({"trials": 0}, "trials: "),
        ({"objective": "speed"}, "objective: 'speed' is not one of"),
        ({"dataset": "mnits"}, "mnist"),
        ({"fix": {"solver.methd": "euler"}}, "solver.method"),
        ({"set": {"model.width": "16-64"}}, "16-64"),
        ({"space": "large"}, "large"),
        ({"name": "a/b"}, "--name must be"),
        ({"sampler": "best"}, "best"),
    ],
)
def test_wrong_options_are_errors_before_anything_starts(given, message, working_directory):
    with pytest.raises(UsageError, match=message):
        to.search(**given)
    assert not Path("runs").exists()
