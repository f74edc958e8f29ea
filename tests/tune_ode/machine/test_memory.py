"""A trial that needs more memory than its share is told so, and leaves none behind."""

import dataclasses
import resource

import numpy as np
import pytest

from tune_ode.machine.memory import limit_memory, total_memory
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome
from tune_ode.worker.task import run_trial

MB = 10**6


def test_the_limit_holds_inside_and_not_after(fresh_process):
    """In a process of its own: one that has trained keeps memory that it may use again."""
    fresh_process.apply(under_a_limit)


def under_a_limit():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limit_memory(200 * MB):
        np.ones(50 * MB, dtype=np.uint8)
        with pytest.raises(MemoryError):
            np.ones(400 * MB, dtype=np.uint8)
    np.ones(400 * MB, dtype=np.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_trials_on_a_cpu_share_its_memory():
    assert plan_resources(local_machine(cpus=2, gpus=1)).memory_per_trial is None
    two = plan_resources(local_machine(cpus=2, gpus=0))
    assert 0 < 2 * two.memory_per_trial < total_memory()
    alone = plan_resources(local_machine(cpus=2, gpus=0), max_concurrent=1)
    assert alone.memory_per_trial == pytest.approx(2 * two.memory_per_trial, abs=2)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def outcomes_and_memory(tasks):
    """In a process of its own: what each task ends as, and the bytes the process keeps."""
    ends = []
    for task in tasks:
        *_, ending = run_trial(task)
        ends.append((ending, resident()))
    return ends


def test_a_model_too_large_is_out_of_memory_and_the_next_has_it_all(task, fresh_process):
    """Real training and a real limit: the allocator of torch is refused what is over it."""
    small = dataclasses.replace(task, memory_bytes=300 * MB)
    # several times over the limit: what an earlier task freed, a process may use again
    values = {"model": {**task.config["model"], "width": 256, "blocks": 3}}
    values["model"]["ode"] = {**values["model"]["ode"], "convolutions": 4}
    values["training"] = {**task.config["training"], "batch_size": 1024}
    large = dataclasses.replace(small, trial_id="0002", config={**task.config, **values})
    tasks = [small, large, dataclasses.replace(small, trial_id="0003")]
    for each in tasks:
        each.folder.mkdir(exist_ok=True)
    (first, kept), (second, left), (third, _) = fresh_process.apply(outcomes_and_memory, (tasks,))
    assert first.outcome is Outcome.COMPLETED
    assert second.outcome is Outcome.OUT_OF_MEMORY
    assert "allocate" in second.reason
    assert third.outcome is Outcome.COMPLETED
    assert left < kept + 100 * MB
