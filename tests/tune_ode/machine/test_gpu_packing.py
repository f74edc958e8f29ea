"""As many trials share a GPU as its memory holds, and each is held to its share of it."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import PRESETS, Choice, Fixed, Int, Space
from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.machine import gpu_packing as packing
from tune_ode.machine.gpu_packing import (
    MAX_TRIALS_PER_GPU,
    MemoryPeak,
    largest_config,
    share_of_gpu,
    train_a_little,
)
from tune_ode.machine.memory import CONTEXT_BYTES, cap_gpu_memory
from tune_ode.machine.resources import local_machine
from tune_ode.tuning import plan as plan_module
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan

GIB = 2**30


def test_the_largest_trial_has_the_largest_batch_and_width_of_its_space():
    space = Space(
        {
            "training.batch_size": Choice(32, 512, 64),
            "model.width": Int(16, 96),
            "training.epochs": Int(1, 9),
        }
    )
    large = largest_config(space, TrialConfig())
    assert (large.training.batch_size, large.model.width) == (512, 96)
    assert large.training.epochs == TrialConfig().training.epochs
    fixed = largest_config(Space({"model.width": Fixed(24)}), TrialConfig())
    assert fixed.model.width == 24
    assert fixed.training.batch_size == TrialConfig().training.batch_size


@pytest.mark.parametrize("name", PRESETS)
def test_every_space_has_a_largest_trial(name):
    space, _ = PRESETS[name]
    large = largest_config(space, TrialConfig())
    assert large.model.width >= TrialConfig().model.width


@given(used=st.integers(1, 200 * GIB), total=st.integers(GIB, 200 * GIB), most=st.integers(1, 64))
def test_trials_that_share_a_gpu_fit_on_it(used, total, most):
    share = share_of_gpu(MemoryPeak(used=used, total=total), most)
    trials = int(1 / share + 1e-9)
    assert 1 <= trials <= min(most, MAX_TRIALS_PER_GPU)
    assert trials * share <= 1
    if trials > 1:
        assert trials * (used + CONTEXT_BYTES) <= total
        assert share * total >= used + CONTEXT_BYTES, "each has room for what was measured"


def test_what_is_measured_trains_and_evaluates():
    config = TrialConfig().with_values({"model.width": 8, "solver.method": "euler"})
    assert train_a_little(config, None, torch.device("cpu")) == packing._BATCHES


def test_auto_gives_each_trial_what_the_largest_needs(monkeypatch, tmp_path):
    asked = []

    def measured(config, data_dir):
        asked.append(config)
        return MemoryPeak(used=5 * GIB, total=24 * GIB)

    monkeypatch.setattr(packing, "measure_in_subprocess", measured)
    monkeypatch.setattr(plan_module, "local_machine", lambda: local_machine(cpus=8, gpus=2))
    found = plan(SearchOptions(gpus_per_trial="auto", output=str(tmp_path)))
    assert asked[0] == largest_config(found.space, found.base)
    assert found.options.gpus_per_trial == found.resources.gpus_per_trial == 0.3333
    assert found.resources.max_concurrent == 6
    assert "3 share one" in found.notes[-1]


def test_auto_without_a_gpu_says_what_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(plan_module, "local_machine", lambda: local_machine(cpus=2, gpus=0))
    with pytest.raises(UsageError, match="auto needs a GPU, but this machine has 2 CPU cores"):
        plan(SearchOptions(gpus_per_trial="auto", output=str(tmp_path)))


def test_a_trial_is_held_to_its_share_of_the_memory(monkeypatch):
    held = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = SimpleNamespace(total_memory=16 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", held.append)
    cap_gpu_memory(0.0)  # on a CPU
    cap_gpu_memory(1.0)
    assert not held
    cap_gpu_memory(0.25)
    assert held == [0.25 - 0.5 / 16]
