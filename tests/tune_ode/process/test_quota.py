"""Whatever uses all cores uses those that a container's CPU quota leaves."""

import os
from concurrent import futures
from unittest.mock import Mock

import pytest
import torch

from tune_ode import prediction
from tune_ode.data.sources import read
from tune_ode.errors import UsageError
from tune_ode.process import limits
from tune_ode.tuning import launch


@pytest.fixture(autouse=True)
def one_of_four_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(limits, "_least", lambda _, name, read: {"cpu": 1.0}.get(name))


@pytest.mark.parametrize(
    "command",
    [
        ("search", "--check"),
        ("compare", "--dataset", "digits", "--check"),
        ("train", "--dataset", "digits"),
    ],
)
def test_a_command_uses_the_quota_and_says_so(tune_ode, monkeypatch, command):
    def start(plan, **_):
        assert plan.worker.threads == 1
        raise UsageError("planned")

    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(launch, "start", start)
    status, out, _ = tune_ode(*command)
    assert status == (2 if command[0] == "train" else 0)
    assert (
        "this machine has 1 CPU core and no GPUs (1 of 4 cores: the container's CPU quota)" in out
    )


def test_images_are_decoded_in_as_many_threads(monkeypatch):
    counts = []

    class Pool(futures.ThreadPoolExecutor):
        def __init__(self, count):
            counts.append(count)
            super().__init__(count)

    monkeypatch.setattr(read, "ThreadPoolExecutor", Pool)
    assert read._map_in_threads(lambda index: index, 3, "", lambda *_: None) == [0, 1, 2]
    assert counts == [1]


def test_a_prediction_uses_the_quota(tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(prediction, "load_model", Mock(side_effect=UsageError("loading")))
    (tmp_path / "trials" / "0001").mkdir(parents=True)
    (tmp_path / "trials" / "0001" / "best.pt").touch()
    with pytest.raises(UsageError, match="loading"):
        prediction.best_model(tmp_path, "0001", torch.device("cpu"))
    assert counts == [1]
