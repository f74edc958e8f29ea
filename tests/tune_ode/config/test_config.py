"""A configuration is validated completely, round-trips through JSON, and has one-line errors."""

import json

import pytest

from tune_ode.config import StemConfig, TrialConfig
from tune_ode.config.model import SMALLEST_STATE, stem_sizes
from tune_ode.errors import ConfigurationError


def test_round_trip_through_json():
    config = TrialConfig().with_values(
        {
            "solver.method": "dopri5",
            "solver.rtol": 1e-5,
            "optimizer.name": "muon",
            "schedule.name": "step",
            "schedule.milestones": [0.2, 0.9],
            "data.mean": [0.5],
            "data.std": [0.25],
        }
    )
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sover": {}}, "did you mean 'solver'"),
        ({"solver": {"method": "dopri"}}, "solver.method: 'dopri' is not one of 'euler'"),
        ({"solver": {"method": "euler", "rtol": 0.1}}, "rtol: no such field"),
        ({"solver": {"method": "dopri5", "steps": 2}}, "steps: no such field"),
        ({"optimizer": {"name": "sgd", "learning_rate": float("nan")}}, "finite"),
        ({"optimizer": {"name": "sgd", "momentum": 0, "nesterov": True}}, "needs a momentum"),
        ({"schedule": {"name": "step", "milestones": [0.5, 0.5]}}, "must increase"),
        ({"schedule": {"name": "onecycle", "warmup": 0.1}}, "leave schedule.warmup at 0"),
        ({"schedule": {"name": "onecycle", "momentum_low": 0.96}}, "lower schedule.momentum_low"),
        ({"schedule": {"name": "onecycle", "momentum_low": 0.0}}, "needs 0 < momentum_low"),
        ({"data": {"dataset": "mnits"}}, "did you mean 'mnist'"),
        ({"data": {"dataset": "folder:"}}, "folder:PATH"),
        ({"data": {"mean": [0.1]}}, "set both"),
        ({"data": {"mean": [0.1], "std": [0.0]}}, "std must be positive"),
        ({"model": {"width": 0}}, "model.width"),
    ],
)
def test_invalid_values_are_an_error_in_one_line(values, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        TrialConfig.from_dict(values)
    assert "\n" not in str(error.value)


def test_batch_norm_inside_the_ode_function_is_invalid_with_the_adjoint():
    batch = {"model.ode.normalization": "batch"}
    TrialConfig().with_values(batch | {"solver.gradient": "backprop"})
    with pytest.raises(ConfigurationError, match="gradient=backprop"):
        TrialConfig().with_values(batch | {"solver.gradient": "adjoint"})
    # the baseline has no ODE function
    TrialConfig().with_values(
        batch | {"solver.gradient": "adjoint", "model.architecture": "resnet"}
    )


def test_selecting_another_variant_resets_its_section_to_defaults():
    config = TrialConfig().with_values({"optimizer.learning_rate": 0.3})
    assert config.with_values({"optimizer.name": "adam"}).optimizer.learning_rate == 1e-3
    assert config.with_values({"optimizer.name": "sgd"}).optimizer.learning_rate == 0.3
    # the same family of solvers keeps its steps
    config = TrialConfig().with_values({"solver.steps": 5})
    assert config.with_values({"solver.method": "euler"}).solver.steps == 5
    with pytest.raises(ConfigurationError, match="steps"):
        config.with_values({"solver.method": "dopri5", "solver.steps": 5})


def test_an_unknown_path_suggests_the_closest():
    with pytest.raises(ConfigurationError, match="did you mean 'model.ode.convolutions'"):
        TrialConfig().with_values({"model.od.convolutions": 2})


@pytest.mark.parametrize("kind", ["conv", "res"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", range(8, 65))
def test_the_automatic_number_of_stages_never_shrinks_a_state_too_far(kind, padding, size):
    sizes = stem_sizes(StemConfig(kind=kind, padding=padding), size)
    assert SMALLEST_STATE <= sizes[-1] <= 8


def test_a_state_smaller_than_four_pixels_is_an_error_with_a_remedy():
    with pytest.raises(ConfigurationError, match="fewer model.stem.stages"):
        stem_sizes(StemConfig(stages=2), 8)
    assert stem_sizes(StemConfig(stages=1, padding=1), 8) == [8, 4]
