"""Precision, memory format and compilation change only speed and rounding."""

import warnings
from functools import partial
from typing import get_args

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

from tune_ode.classifier import build_classifier, programs
from tune_ode.config import (
    AdaptiveSolver,
    ExecutionConfig,
    FixedGridSolver,
    ModelConfig,
    OdeConfig,
)
from tune_ode.config.model import Normalization
from tune_ode.config.solver import Gradient

CPU = torch.device("cpu")
SMALL = ModelConfig(width=8, ode=OdeConfig(convolutions=1))


IMAGES = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def build(solver, execution, model=SMALL):
    torch.manual_seed(0)
    shape = tuple(IMAGES.shape[1:])
    return build_classifier(model, solver, input_shape=shape, classes=3, execution=execution)


def train_step(solver, execution=None, model=SMALL):
    """Return logits, gradients by name and solve statistics of one training step."""
    network = build(solver, execution or ExecutionConfig(), model).place(CPU)
    logits = network(IMAGES)
    logits.logsumexp(1).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return logits.detach(), gradients, network.statistics


def assert_equal_up_to_rounding(one, other):
    torch.testing.assert_close(one[0], other[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one[1], other[1], rtol=1e-3, atol=1e-4)
    assert one[2] == other[2]


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("solver", [FixedGridSolver(method="rk4"), AdaptiveSolver()])
def test_channels_last_changes_only_rounding(solver, gradient):
    solver = solver.model_copy(update={"gradient": gradient})
    other = train_step(solver, ExecutionConfig(memory_format="channels_last"))
    assert_equal_up_to_rounding(train_step(solver), other)


@pytest.mark.parametrize(
    ("normalization", "gradient"),
    [
        (normalization, gradient)
        for normalization in get_args(Normalization)
        for gradient in get_args(Gradient)
        if normalization != "batch" or gradient == "backprop"
    ],
)
@pytest.mark.parametrize("solver", [FixedGridSolver(method="rk4"), AdaptiveSolver()])
def test_bf16_is_close_to_fp32_forward_and_backward(solver, gradient, normalization):
    """Logits differ by a few per cent of the largest, gradients have almost the same direction."""
    solver = solver.model_copy(update={"gradient": gradient})
    ode = OdeConfig(convolutions=1, normalization=normalization)
    model = SMALL.model_copy(update={"ode": ode})
    full = train_step(solver, model=model)
    half = train_step(solver, ExecutionConfig(precision="bf16"), model=model)
    assert half[0].dtype == torch.float32
    assert not torch.equal(half[0], full[0])
    assert (half[0] - full[0]).abs().max() < 0.05 * full[0].abs().max()
    assert {gradient.dtype for gradient in half[1].values()} == {torch.float32}
    flat = [
        torch.cat([g.flatten() for g in gradients.values()]) for gradients in (full[1], half[1])
    ]
    assert torch.cosine_similarity(*flat, dim=0) > 0.98


@pytest.mark.parametrize("solver", [FixedGridSolver(method="rk4"), AdaptiveSolver()])
def test_with_bf16_the_state_of_the_solver_stays_float32(solver):
    network = build(solver, ExecutionConfig(precision="bf16"))
    seen = []
    function = network.blocks[0].function
    function.register_forward_hook(lambda _, arguments, out: seen.append(arguments[1].dtype))
    network.blocks[0].register_forward_hook(lambda _, arguments, out: seen.append(out.dtype))
    network(IMAGES)
    assert set(seen) == {torch.float32}


@pytest.fixture
def fresh_programs():
    """Clear the cached programs before and after a test."""
    programs.evaluate.cache_clear()
    programs.solve_on_grid.cache_clear()
    yield
    programs.evaluate.cache_clear()
    programs.solve_on_grid.cache_clear()


@pytest.mark.long
@pytest.mark.parametrize(
    "solver",
    [
        FixedGridSolver(method="midpoint", steps=2),
        FixedGridSolver(method="midpoint", steps=2, gradient="recompute"),
        FixedGridSolver(method="midpoint", steps=2, gradient="adjoint"),
        AdaptiveSolver(),
    ],
)
def test_compiled_blocks_agree_and_are_compiled_once(solver, fresh_programs):
    """A second model of the same shape uses the program of the first."""
    plain = train_step(solver)
    compiled = train_step(solver, ExecutionConfig(compile=True))
    compiled_programs = counters["stats"]["unique_graphs"]
    second = train_step(solver, ExecutionConfig(compile=True))
    assert counters["stats"]["unique_graphs"] == compiled_programs > 0
    for other in (compiled, second):
        assert_equal_up_to_rounding(plain, other)


@pytest.mark.parametrize("solver", [FixedGridSolver(method="euler"), AdaptiveSolver()])
def test_a_block_that_cannot_be_compiled_runs_uncompiled_with_one_warning(
    solver, fresh_programs, monkeypatch
):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend=broken))
    plain = train_step(solver)
    with pytest.warns(UserWarning, match="cannot be compiled here.*execution.compile") as caught:
        compiled = train_step(solver, ExecutionConfig(compile=True))
    assert len(caught) == 1
    torch.testing.assert_close(plain[:2], compiled[:2])
    assert plain[2] == compiled[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_step(solver, ExecutionConfig(compile=True))


@pytest.mark.parametrize("solver", [FixedGridSolver(method="euler"), AdaptiveSolver()])
def test_a_backward_pass_that_cannot_be_compiled_runs_uncompiled(
    solver, fresh_programs, monkeypatch
):
    """By default torch compiles it at the first backward pass, where no fallback is possible."""

    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    backend = aot_autograd(fw_compiler=lambda graph, inputs: graph.forward, bw_compiler=broken)
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend=backend))
    plain = train_step(solver)
    with pytest.warns(UserWarning, match="cannot be compiled here"):
        compiled = train_step(solver, ExecutionConfig(compile=True))
    torch.testing.assert_close(plain[:2], compiled[:2])


@pytest.mark.parametrize("solver", [FixedGridSolver(method="euler"), AdaptiveSolver()])
def test_the_execution_mode_is_the_one_that_ran(solver, fresh_programs, monkeypatch):
    failing = False

    def backend(graph, inputs):
        if failing:
            raise RuntimeError("no compiler here")
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend=backend))
    network = build(solver, ExecutionConfig(compile=True))
    network(IMAGES)
    assert network.execution_mode == "compiled"
    failing = True
    with pytest.warns(UserWarning, match="cannot be compiled here"):
        network(IMAGES[:2])
    assert network.execution_mode == "eager"
    assert build(solver, ExecutionConfig()).execution_mode == "eager"


def test_cuda_graphs_that_are_skipped_are_not_recorded(monkeypatch):
    program = programs.Program(torch.sin, mode="reduce-overhead")
    assert program.mode == "cuda_graph"
    monkeypatch.setitem(counters["inductor"], "cudagraph_skips", 1)
    assert program.mode == "compiled"


def test_the_twentieth_shape_is_compiled_too(monkeypatch):
    """The speed of a trial must not depend on how many others its process has trained."""
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    program = programs.Program(lambda x: x.sin() + 1)
    for size in range(2, 22):
        program(torch.ones(size))
    assert counter.frame_count == 20
