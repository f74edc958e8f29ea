"""A trial that exceeds its memory ends as out of memory and releases it."""

import dataclasses
import resource

import numpy as np
import pytest

from tune_ode.machine.memory import limit_memory, total_memory
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome
from tune_ode.worker.task import run_trial

MB = 10**6


def test_the_limit_applies_inside_the_block_only(fresh_process):
    """A process that has trained keeps memory that it may use again; use a fresh one."""
    fresh_process.apply(under_a_limit)


def under_a_limit():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limit_memory(200 * MB):
        np.ones(50 * MB, dtype=np.uint8)
        with pytest.raises(MemoryError):
            np.ones(400 * MB, dtype=np.uint8)
    np.ones(400 * MB, dtype=np.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_trials_on_a_cpu_share_the_memory():
    assert plan_resources(local_machine(cpus=2, gpus=1)).memory_per_trial is None
    two = plan_resources(local_machine(cpus=2, gpus=0))
    assert 0 < 2 * two.memory_per_trial < total_memory()
    one = plan_resources(local_machine(cpus=2, gpus=0), max_concurrent=1)
    assert one.memory_per_trial == pytest.approx(2 * two.memory_per_trial, abs=2)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def outcomes_and_memory(tasks):
    """Return the end of each task, and the bytes that the process keeps."""
    ends = []
    for task in tasks:
        *_, end = run_trial(task)
        ends.append((end, resident()))
    return ends


def test_a_model_that_is_too_large_is_out_of_memory_and_releases_it(task, fresh_process):
    """Real training with a real limit, which makes torch's allocator fail."""
    small = dataclasses.replace(task, memory_bytes=300 * MB)
    # several times the limit, since a process may use what an earlier task freed
    values = {"model": {**task.config["model"], "width": 256, "blocks": 3}}
    values["model"]["ode"] = {**values["model"]["ode"], "convolutions": 4}
    values["training"] = {**task.config["training"], "batch_size": 1024}
    large = dataclasses.replace(small, trial_id="0002", config={**task.config, **values})
    tasks = [small, large, dataclasses.replace(small, trial_id="0003")]
    for one in tasks:
        one.folder.mkdir(exist_ok=True)
    (first, kept), (second, left), (third, _) = fresh_process.apply(outcomes_and_memory, (tasks,))
    assert first.outcome is Outcome.COMPLETED
    assert second.outcome is Outcome.OUT_OF_MEMORY
    assert "allocate" in second.reason
    assert third.outcome is Outcome.COMPLETED
    assert left < kept + 100 * MB
