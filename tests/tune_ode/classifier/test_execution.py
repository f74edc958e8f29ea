"""Precision, memory layout and compilation change seconds and rounding, nothing else."""

import warnings
from functools import partial
from typing import get_args

import pytest
import torch
from torch._dynamo.testing import CompileCounter

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


def trained(solver, execution=None, model=SMALL, images=None):
    """Return logits, gradients by name and the solve's counts of one training step."""
    torch.manual_seed(0)
    images = torch.randn(4, 1, 12, 12) if images is None else images
    network = build_classifier(
        model,
        solver,
        input_shape=(1, 12, 12),
        classes=3,
        execution=execution or ExecutionConfig(),
    ).place(CPU)
    logits = network(images)
    logits.logsumexp(1).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return logits.detach(), gradients, network.statistics


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("solver", [FixedGridSolver(method="rk4"), AdaptiveSolver()])
def test_channels_last_changes_rounding_alone(solver, gradient):
    solver = solver.model_copy(update={"gradient": gradient})
    plain = trained(solver)
    other = trained(solver, ExecutionConfig(memory_format="channels_last"))
    torch.testing.assert_close(plain[0], other[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain[1], other[1], rtol=1e-3, atol=1e-4)
    assert plain[2] == other[2]


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("normalization", get_args(Normalization))
@pytest.mark.parametrize("solver", [FixedGridSolver(method="rk4"), AdaptiveSolver()])
def test_bf16_is_close_to_fp32_both_ways(solver, gradient, normalization):
    """Logits within a few per cent of the largest, gradients in nearly the same direction."""
    if normalization == "batch" and gradient != "backprop":
        gradient = "backprop"
    solver = solver.model_copy(update={"gradient": gradient})
    ode = OdeConfig(convolutions=1, normalization=normalization)
    model = SMALL.model_copy(update={"ode": ode})
    full = trained(solver, model=model)
    half = trained(solver, ExecutionConfig(precision="bf16"), model=model)
    assert half[0].dtype == torch.float32
    assert not torch.equal(half[0], full[0])
    assert (half[0] - full[0]).abs().max() < 0.05 * full[0].abs().max()
    assert {gradient.dtype for gradient in half[1].values()} == {torch.float32}
    flat = [
        torch.cat([g.flatten() for g in gradients.values()]) for gradients in (full[1], half[1])
    ]
    assert torch.cosine_similarity(*flat, dim=0) > 0.98


@pytest.mark.parametrize("solver", [FixedGridSolver(method="rk4"), AdaptiveSolver()])
def test_under_bf16_the_solvers_state_stays_in_single_precision(solver):
    torch.manual_seed(0)
    execution = ExecutionConfig(precision="bf16")
    network = build_classifier(
        SMALL, solver, input_shape=(1, 12, 12), classes=3, execution=execution
    )
    seen = []
    function = network.blocks[0].function
    function.register_forward_hook(lambda _, arguments, out: seen.append(arguments[1].dtype))
    network.blocks[0].register_forward_hook(lambda _, arguments, out: seen.append(out.dtype))
    network(torch.randn(2, 1, 12, 12))
    assert set(seen) == {torch.float32}


@pytest.fixture
def fresh_programs():
    """Compile anew, and leave no program of a test's behind."""
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
def test_compiled_blocks_give_the_same_and_are_compiled_once(solver, fresh_programs):
    """A second model of the same shape finds the first one's program."""
    from torch._dynamo.utils import counters

    plain = trained(solver)
    compiled = trained(solver, ExecutionConfig(compile=True))
    programs_made = counters["stats"]["unique_graphs"]
    again = trained(solver, ExecutionConfig(compile=True))
    assert counters["stats"]["unique_graphs"] == programs_made > 0
    for other in (compiled, again):
        torch.testing.assert_close(plain[0], other[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(plain[1], other[1], rtol=1e-3, atol=1e-4)
        assert plain[2] == other[2]


@pytest.mark.parametrize("solver", [FixedGridSolver(method="euler"), AdaptiveSolver()])
def test_where_compiling_fails_the_block_runs_as_it_is_and_says_so_once(
    solver, fresh_programs, monkeypatch
):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend=broken))
    plain = trained(solver)
    with pytest.warns(UserWarning, match="cannot be compiled here.*execution.compile") as said:
        compiled = trained(solver, ExecutionConfig(compile=True))
    assert len(said) == 1
    torch.testing.assert_close(plain[:2], compiled[:2])
    assert plain[2] == compiled[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(solver, ExecutionConfig(compile=True))


def test_the_twentieth_shape_is_compiled_as_the_first_was(monkeypatch):
    """A process trains many trials; how many came before must not decide what one gets."""
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    program = programs.Program(lambda x: x.sin() + 1)
    for size in range(2, 22):
        program(torch.ones(size))
    assert counter.frame_count == 20
