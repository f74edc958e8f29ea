"""The ready-made spaces contain only valid configurations, and cover the documented fields."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import PRESETS, Choice, configure, path_of, resolve_space
from search_spaces.image_constraints import fit_to_images
from search_spaces.validate import validate
from tune_ode.config import TrialConfig
from tune_ode.config.model import stem_sizes

SPACES = {name: resolve_space(name) for name in PRESETS}


@pytest.mark.parametrize("name", PRESETS)
@settings(max_examples=1000, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_point_is_a_valid_configuration(random_trial, name, seed):
    params = SPACES[name].sample(random_trial(seed))
    config = configure(TrialConfig(), params)
    assert TrialConfig.from_dict(config.to_dict()) == config
    # the values are at the paths of their names
    tree = config.to_dict()
    for parameter, value in params.items():
        node = tree
        for step in path_of(parameter).split("."):
            node = node[step]
        assert node == value


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32), (3, 64)])
def test_every_point_fits_the_images(random_trial, name, channels, size):
    space, _ = fit_to_images(SPACES[name], TrialConfig(), channels, size)
    for seed in range(100):
        config = configure(TrialConfig(), space.sample(random_trial(seed)))
        stem_sizes(config.model.stem, size)
        if channels == 1:
            assert config.data.augmentation.hue == 0


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_passes_validation(name):
    validate(SPACES[name], TrialConfig())


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [8, 28, 32])
def test_a_preset_contains_the_default_configuration(name, size):
    space, _ = fit_to_images(SPACES[name], TrialConfig(), 1, size)
    point = space.point(TrialConfig())
    assert configure(TrialConfig(), point) == TrialConfig()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(point)
    trial = study.ask()
    space.sample(trial)
    assert trial.params == point, "the sampler has nothing to fill"


@pytest.mark.parametrize("name", PRESETS)
def test_optuna_accepts_every_point(name):
    # Optuna raises or warns if a name has two ranges or a value has an unsupported type
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    names = set()
    for _ in range(60):
        trial = study.ask()
        SPACES[name].sample(trial)
        names |= trial.params.keys()
        study.tell(trial, 0.0)
    assert names <= set(SPACES[name].names)


def test_full_covers_every_documented_field():
    spanned = {}
    for name, parameter, _ in SPACES["full"].walk():
        if isinstance(parameter, Choice):
            values = [*parameter.options]
        else:
            values = [parameter.low, parameter.high]
        spanned.setdefault(path_of(name), []).extend(values)
    for path, values in {
        "model.blocks": {1, 3},
        "model.ode.convolutions": {1, 4},
        "model.width": {16, 256},
        "model.stem.kind": {"conv", "res", "patch", "pool"},
        "model.stem.width": {None, 16, 64},
        "model.stem.stages": {0, 1, 2, 3},
        "model.stem.extra_layers": {0, 2},
        "model.ode.augmented_channels": {0, 16},
        "model.activation": {"relu", "gelu", "silu", "softplus", "tanh", "elu"},
        "model.ode.activation": {"relu", "gelu", "silu", "softplus", "tanh", "elu"},
        "model.head.hidden_layers": {0, 1, 2},
        "model.normalization": {"group", "layer", "batch", "instance", "none"},
        "model.ode.normalization": {"group", "layer", "instance", "none"},
        "model.head.dropout": {0.0, 0.5},
        "optimizer.name": {"sgd", "adam", "adamw", "rmsprop", "muon"},
        "schedule.name": {"constant", "step", "cosine", "onecycle", "exponential", "plateau"},
        "schedule.warmup": {0.0, 0.2},
        "solver.gradient": {"backprop", "recompute", "adjoint", "adjoint_seminorm"},
        "solver.adjoint_method": {None, "euler", "dopri5"},
        "execution.precision": {"fp32", "bf16"},
        "training.gradient_clip": {None, 1.0},
        "data.augmentation.flip": {False, True},
    }.items():
        assert values <= set(spanned[path]), path
    for path in (
        "model.ode.integration_time", "model.head.hidden_width", "optimizer.weight_decay",
        "optimizer.learning_rate", "training.batch_size", "training.label_smoothing",
        "training.epochs", "solver.steps", "solver.rtol", "solver.adjoint_rtol",
        "solver.adjoint_steps", "data.augmentation.crop", "data.augmentation.rotation",
        "data.augmentation.brightness", "data.augmentation.contrast",
        "data.augmentation.saturation", "data.augmentation.hue",
    ):  # fmt: skip
        assert path in spanned
