"""The network: sizes, shapes, errors, and the cost of its blocks."""

from collections import Counter
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tune_ode.classifier import Classifier, build_classifier
from tune_ode.classifier.build import BLOCKS
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config import (
    AdaptiveSolver,
    FixedGridSolver,
    HeadConfig,
    ModelConfig,
    OdeConfig,
    StemConfig,
)
from tune_ode.config.model import Activation, Architecture, Normalization, Pooling, StemKind
from tune_ode.config.solver import Gradient
from tune_ode.errors import ConfigurationError
from tune_ode.solvers import SolveStatistics

EULER = FixedGridSolver(method="euler", steps=1)


def build(model: ModelConfig, shape=(1, 8, 8), classes=3, solver=EULER) -> Classifier:
    torch.manual_seed(0)
    return build_classifier(model, solver, input_shape=shape, classes=classes)


def test_every_architecture_has_a_builder():
    assert set(BLOCKS) == set(get_args(Architecture))


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (ModelConfig(), 208_266),
        (ModelConfig(stem=StemConfig(kind="res")), 232_970),
        (ModelConfig(architecture="resnet", blocks=6), 576_778),
    ],
    ids=["conv", "res", "resnet"],
)
def test_parameter_counts_match_the_published_example(model, parameters):
    classifier = build(model, (1, 28, 28), classes=10)
    assert sum(p.numel() for p in classifier.parameters()) == parameters


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 45, 45), (3, 64, 64)])
@pytest.mark.parametrize("kind", get_args(StemKind))
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_image_size_works_with_the_default_stages(shape, kind, padding, architecture):
    stem = StemConfig(kind=kind, padding=padding, width=2)
    classifier = build(ModelConfig(width=4, stem=stem, architecture=architecture), shape).eval()
    with torch.no_grad():
        state = classifier.stem(torch.randn(2, *shape))
        logits = classifier(torch.randn(2, *shape))
    assert state.shape[1] == 4
    assert 4 <= state.shape[2] == state.shape[3] <= 8
    assert logits.shape == (2, 3)


@pytest.mark.parametrize("shape", [(1, 28, 32), (1, 7, 7), (3, 65, 65), (0, 8, 8)])
def test_images_out_of_range_are_rejected_with_the_remedy(shape):
    found = "×".join(map(str, shape))
    with pytest.raises(ConfigurationError, match=f"square, 8 to 64 .*{found}; resize"):
        build(ModelConfig(), shape)


def test_a_single_class_is_rejected():
    with pytest.raises(ConfigurationError, match="at least 2 classes, found 1"):
        build(ModelConfig(), classes=1)


@pytest.mark.parametrize("kind", get_args(StemKind))
def test_a_stem_that_shrinks_the_state_too_far_is_rejected_with_the_remedy(kind):
    with pytest.raises(ConfigurationError, match=r"fewer model\.stem\.stages"):
        build(ModelConfig(stem=StemConfig(kind=kind, stages=3)), (1, 16, 16))


MODELS = st.builds(
    ModelConfig,
    architecture=st.sampled_from(get_args(Architecture)),
    blocks=st.integers(1, 2),
    width=st.integers(1, 9),
    normalization=st.sampled_from(get_args(Normalization)),
    activation=st.sampled_from(get_args(Activation)),
    stem=st.builds(
        StemConfig,
        kind=st.sampled_from(get_args(StemKind)),
        stages=st.none() | st.integers(0, 4),
        width=st.none() | st.integers(1, 9),
        padding=st.integers(0, 1),
        extra_layers=st.integers(0, 2),
    ),
    ode=st.builds(
        OdeConfig,
        convolutions=st.integers(1, 4),
        hidden_width=st.none() | st.integers(1, 9),
        normalization=st.sampled_from(get_args(Normalization)),
        activation=st.sampled_from(get_args(Activation)),
        augmented_channels=st.integers(0, 3),
        integration_time=st.sampled_from([0.1, 1.0, 3.0]),
    ),
    head=st.builds(
        HeadConfig,
        pooling=st.sampled_from(get_args(Pooling)),
        hidden_layers=st.integers(0, 2),
        hidden_width=st.integers(1, 9),
        dropout=st.sampled_from([0.0, 0.5]),
    ),
)


@given(model=MODELS, channels=st.integers(1, 3), size=st.integers(8, 20))
@settings(max_examples=40, deadline=None)
def test_every_model_trains_a_step_or_is_rejected(model, channels, size):
    try:
        classifier = build(model, (channels, size, size))
    except ConfigurationError as error:
        assert "use fewer model.stem.stages" in str(error)  # noqa: PT017
        return
    logits = classifier(torch.randn(2, channels, size, size))
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    for name, parameter in classifier.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_augmented_channels_start_at_zero_and_reach_every_block_and_the_head():
    model = ModelConfig(width=4, blocks=2, ode=OdeConfig(augmented_channels=3))
    classifier = build(model)
    starts = []
    for block in classifier.blocks:
        block.function.register_forward_pre_hook(lambda _, args: starts.append(args[1]))
    classifier(torch.randn(2, 1, 8, 8))
    first, second = starts
    assert first.shape[1] == second.shape[1] == 7
    assert (first[:, 4:] == 0).all()
    assert (first[:, :4] != 0).any()
    assert (second[:, 4:] != 0).any()
    assert classifier.head.output.in_features == 7


def test_parameter_names():
    """Checkpoints contain the names: a change breaks every saved model."""
    model = ModelConfig(
        width=4,
        stem=StemConfig(stages=1, padding=1, extra_layers=1),
        ode=OdeConfig(normalization="none"),
        head=HeadConfig(hidden_layers=1),
    )
    weights = [name for name in build(model).state_dict() if name.endswith("weight")]
    assert weights == [
        "stem.first.weight",
        "stem.stages.0.activated.norm.weight",
        "stem.stages.0.conv.weight",
        "stem.extra.0.activated.norm.weight",
        "stem.extra.0.conv.weight",
        "blocks.0.function.convolutions.0.weight",
        "blocks.0.function.convolutions.1.weight",
        "head.activated.norm.weight",
        "head.hidden.0.weight",
        "head.output.weight",
    ]


def test_statistics_sum_over_blocks_of_different_cost():
    solver = AdaptiveSolver(method="bosh3", rtol=1e-4, atol=1e-4)
    classifier = build(ModelConfig(width=4, blocks=2), solver=solver)
    with torch.no_grad():  # a vector field three times as large needs more steps
        classifier.blocks[1].function.norm.weight.mul_(3)
    calls = Counter()
    for block in classifier.blocks:
        block.function.register_forward_hook(lambda function, *_: calls.update([function]))
    classifier(torch.randn(2, 1, 8, 8)).sum().backward()
    first, second = (block.statistics for block in classifier.blocks)
    assert [first.evaluations_forward, second.evaluations_forward] == list(calls.values())
    assert first.evaluations_forward != second.evaluations_forward
    assert classifier.statistics == first + second
    assert classifier.statistics.vjp_backward > 0
    classifier.reset_statistics()
    assert classifier.statistics == SolveStatistics()


def test_the_baseline_has_no_ode_blocks():
    classifier = build(ModelConfig(width=4, architecture="resnet", blocks=2))
    classifier(torch.randn(2, 1, 8, 8)).sum().backward()
    assert classifier.statistics == SolveStatistics()
    assert not any(isinstance(module, OdeBlock) for module in classifier.modules())


def gradients(classifier: Classifier, images: torch.Tensor) -> dict[str, torch.Tensor]:
    classifier.zero_grad()
    classifier(images).square().sum().backward()
    return {name: p.grad.clone() for name, p in classifier.named_parameters()}


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("architecture", get_args(Architecture))
@pytest.mark.parametrize("normalization", ["group", "none"])
def test_in_place_activations_change_no_gradient(gradient, architecture, normalization):
    """Two steps of two blocks: states, stages and shortcuts must not be overwritten."""
    model = ModelConfig(
        architecture=architecture,
        width=4,
        blocks=2,
        normalization=normalization,
        stem=StemConfig(kind="res", stages=1, padding=1, extra_layers=1),
        ode=OdeConfig(normalization=normalization),
    )
    classifier = build(model, solver=FixedGridSolver(steps=2, gradient=gradient))
    images = torch.randn(2, 1, 8, 8)
    found = gradients(classifier, images)
    relus = [module for module in classifier.modules() if isinstance(module, nn.ReLU)]
    assert any(relu.inplace for relu in relus) == (normalization == "group")
    for relu in relus:
        relu.inplace = False
    for name, expected in gradients(classifier, images).items():
        assert torch.equal(found[name], expected), name


# layer normalization: a group that only has a channel of zeros makes the solution start steeply
SMOOTH = ModelConfig(
    width=4,
    activation="tanh",
    ode=OdeConfig(augmented_channels=1, hidden_width=3, activation="tanh", normalization="layer"),
)


def test_gradients_of_the_network_agree_with_finite_differences():
    """Along a random direction for each parameter."""
    classifier = build(SMOOTH, solver=FixedGridSolver(steps=2)).double()
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    found = gradients(classifier, images)
    step = 1e-6
    with torch.no_grad():
        for name, parameter in classifier.named_parameters():
            direction = torch.randn_like(parameter)
            parameter.add_(direction, alpha=step)
            above = classifier(images).square().sum()
            parameter.sub_(direction, alpha=2 * step)
            below = classifier(images).square().sum()
            parameter.add_(direction, alpha=step)
            slope = ((above - below) / (2 * step)).item()
            expected = (found[name] * direction).sum().item()
            assert slope == pytest.approx(expected, rel=1e-5, abs=1e-6), name


def test_gradients_of_the_network_agree_between_adjoint_and_backprop():
    """At a tight tolerance, where the adjoint solve is accurate too."""
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    found = []
    for gradient in ("adjoint", "backprop"):
        solver = AdaptiveSolver(rtol=1e-7, atol=1e-7, gradient=gradient)
        found.append(gradients(build(SMOOTH, solver=solver).double(), images))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_batch_norm_in_the_ode_function_averages_over_its_evaluations():
    """One update per evaluation in training mode, none in evaluation mode."""
    model = ModelConfig(width=4, ode=OdeConfig(normalization="batch"))
    classifier = build(model, solver=FixedGridSolver(method="midpoint", steps=3))
    images = torch.randn(2, 1, 8, 8)
    classifier(images).sum().backward()
    assert classifier.blocks[0].function.norm.num_batches_tracked == 6
    classifier.eval()(images)
    assert classifier.blocks[0].function.norm.num_batches_tracked == 6


def test_the_solver_of_the_blocks_can_be_replaced():
    images = torch.rand(2, 1, 8, 8)
    finer = FixedGridSolver(method="rk4", steps=3)
    model, other = (build(ModelConfig(width=4, blocks=2), solver=s).eval() for s in (EULER, finer))
    with torch.no_grad():
        before = model(images)
        model.solve_by(finer)
        assert torch.equal(model(images), other(images))
        assert not torch.equal(before, model(images))
    model.reset_statistics()
    with torch.no_grad():
        model(images)
    assert model.statistics.evaluations_forward == 2 * 12


def test_an_adaptive_solver_caches_its_first_step_size_between_training_batches():
    adaptive = AdaptiveSolver(method="bosh3", gradient="adjoint", rtol=1e-2, atol=1e-2)
    config, images = ModelConfig(width=4, blocks=2), torch.rand(2, 1, 8, 8)
    model = build(config, solver=adaptive)
    assert model.step_sizes == [{}] * 2
    model.eval()(images)
    assert model.step_sizes == [{}] * 2, "an evaluation does not change the cache"
    model.train()(images).sum().backward()
    step_sizes = model.step_sizes
    assert all(cache["forward"] > 0 and cache["backward"] > 0 for cache in step_sizes)

    first = model.statistics
    model.reset_statistics()
    with torch.no_grad():
        expected = model.eval()(images)
    assert model.statistics.evaluations_forward < first.evaluations_forward, "uses the cache"
    assert model.step_sizes == step_sizes

    # checkpoints include the cache
    loaded = build(config, solver=adaptive)
    loaded.load_state_dict(model.state_dict())
    assert loaded.step_sizes == step_sizes
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images), expected)
    loaded.load_state_dict(build(config, solver=adaptive).state_dict())
    assert loaded.step_sizes == [{}] * 2, "a checkpoint without a cache"


def test_a_solver_other_than_the_trained_one_does_not_use_the_cache():
    adaptive = AdaptiveSolver(method="bosh3", rtol=1e-2, atol=1e-2)
    images = torch.rand(2, 1, 8, 8)
    model = build(ModelConfig(width=4), solver=adaptive)
    with torch.no_grad():
        model.train()(images)
        step_sizes = model.step_sizes
        for other in (adaptive.model_copy(update={"rtol": 1e-3}), EULER, adaptive):
            model.solve_by(other)
            model.reset_statistics()
            model.eval()(images)
            cost = model.statistics.evaluations_forward
            fresh = build(ModelConfig(width=4), solver=other)
            weights = {k: v for k, v in model.state_dict().items() if "step_sizes" not in k}
            fresh.load_state_dict(weights)
            fresh.eval()(images)
            estimated = fresh.statistics.evaluations_forward
            assert cost < estimated if other is adaptive else cost == estimated
    assert model.step_sizes == step_sizes


def test_without_carry_step_nothing_is_cached():
    estimated = AdaptiveSolver(method="bosh3", carry_step=False)
    model = build(ModelConfig(width=4), solver=estimated)
    model.train()(torch.rand(2, 1, 8, 8))
    assert model.step_sizes == [{}]
    assert not any("step_sizes" in name for name in model.state_dict())
