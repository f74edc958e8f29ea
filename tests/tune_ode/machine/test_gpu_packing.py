"""GPU packing: as many trials share a GPU as fit; each is limited to its share of memory."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import PRESETS, Choice, Fixed, Int, Space
from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.machine import gpu_packing
from tune_ode.machine.gpu_packing import (
    MAX_TRIALS_PER_GPU,
    MemoryPeak,
    largest_config,
    share_of_gpu,
    train_briefly,
)
from tune_ode.machine.memory import CONTEXT_BYTES, cap_gpu_memory
from tune_ode.machine.resources import local_machine
from tune_ode.tuning import plan as plan_module
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search

GIB = 2**30


def test_the_largest_config_has_the_largest_batch_and_width():
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
def test_every_preset_has_a_largest_config(name):
    space, _ = PRESETS[name]
    large = largest_config(space, TrialConfig())
    assert large.model.width >= TrialConfig().model.width


@given(
    used=st.integers(1, 200 * GIB), total=st.integers(GIB, 200 * GIB), max_trials=st.integers(1, 64)
)
def test_trials_that_share_a_gpu_fit_on_it(used, total, max_trials):
    share = share_of_gpu(MemoryPeak(used=used, total=total), max_trials)
    trials = int(1 / share + 1e-9)
    assert 1 <= trials <= min(max_trials, MAX_TRIALS_PER_GPU)
    assert trials * share <= 1
    if trials > 1:
        assert trials * (used + CONTEXT_BYTES) <= total
        assert share * total >= used + CONTEXT_BYTES, "each has the measured memory"


def test_the_measurement_trains_and_evaluates():
    config = TrialConfig().with_values({"model.width": 8, "solver.method": "euler"})
    assert train_briefly(config, None, torch.device("cpu")) == gpu_packing._BATCHES


def test_auto_gives_each_trial_the_share_of_the_largest(monkeypatch, tmp_path):
    configs = []

    def measure(config, data_dir):
        configs.append(config)
        return MemoryPeak(used=5 * GIB, total=24 * GIB)

    monkeypatch.setattr(gpu_packing, "measure_in_subprocess", measure)
    monkeypatch.setattr(plan_module, "local_machine", lambda: local_machine(cpus=8, gpus=2))
    found = plan_search(SearchOptions(gpus_per_trial="auto", output=str(tmp_path)))
    assert configs[0] == largest_config(found.space, found.base)
    assert found.resources.gpus_per_trial == 0.3333
    assert found.options.gpus_per_trial == "auto", "a resume measures it again"
    assert found.resources.max_concurrent == 6
    assert "3 share one" in found.notes[-1]


def test_auto_without_a_gpu_is_rejected_with_the_inventory(monkeypatch, tmp_path):
    monkeypatch.setattr(plan_module, "local_machine", lambda: local_machine(cpus=2, gpus=0))
    with pytest.raises(UsageError, match="auto needs a GPU, but this machine has 2 CPU cores"):
        plan_search(SearchOptions(gpus_per_trial="auto", output=str(tmp_path)))


def test_gpu_memory_is_capped_by_the_share(monkeypatch):
    caps = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = SimpleNamespace(total_memory=16 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", caps.append)
    cap_gpu_memory(0.0)  # on a CPU
    cap_gpu_memory(1.0)
    assert not caps
    cap_gpu_memory(0.25)
    assert caps == [0.25 - 0.5 / 16]
