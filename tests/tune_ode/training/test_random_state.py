"""The random state of a trial is isolated from that of the process."""

import torch

from tune_ode.training.random_state import RandomState

CPU = torch.device("cpu")


def test_a_block_continues_the_previous_one():
    torch.manual_seed(5)
    expected = torch.rand(6)
    state = RandomState(5, CPU)
    drawn = []
    for _ in range(3):
        torch.rand(11)
        with state:
            drawn.append(torch.rand(2))
    assert torch.equal(torch.cat(drawn), expected)


def test_the_state_of_the_process_is_unchanged():
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    drawn = [torch.rand(2)]
    with RandomState(9, CPU):
        torch.rand(3)
    drawn.append(torch.rand(2))
    assert torch.equal(torch.cat(drawn), expected)


def test_a_restored_state_continues():
    state = RandomState(3, CPU)
    with state:
        torch.rand(7)
        torch.randn(1)  # leaves one number of a pair cached
    restored = RandomState(0, CPU)
    restored.load_state_dict(state.state_dict())
    with state:
        expected = torch.randn(20)
    with restored:
        assert torch.equal(torch.randn(20), expected)


def test_the_state_of_another_device_is_ignored_and_an_absent_one_keeps_its_seed():
    """A training that began on a GPU continues on a CPU, and the reverse."""
    state = RandomState(3, CPU)
    with state:
        torch.rand(7)
    saved = state.state_dict()
    continued, seeded = RandomState(0, CPU), RandomState(3, CPU)
    continued.load_state_dict(saved | {"cuda": torch.zeros(16, dtype=torch.uint8)})
    seeded.load_state_dict({"cuda": saved["cpu"]})
    torch.manual_seed(3)
    from_seed = torch.rand(7)
    with seeded:
        assert torch.equal(torch.rand(7), from_seed)
    with state:
        expected = torch.rand(5)
    with continued:
        assert torch.equal(torch.rand(5), expected)
