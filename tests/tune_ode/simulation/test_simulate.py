"""Repeated simulations are reproducible, interruptible, and readable as runs."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from optuna.samplers import RandomSampler

from tune_ode.errors import RunFailed
from tune_ode.records import read_manifest
from tune_ode.simulation.engine import Observation
from tune_ode.simulation.simulate import SimulatedSearch, SimulationOptions, simulate_search
from tune_ode.simulation.summary import best_so_far_at


@pytest.fixture
def simulate(table, tune_ode, working_directory):
    """Return a function that runs the command and returns its status, output and errors."""
    source, space = table
    return lambda *arguments: tune_ode("simulate", source, "--space", space, *arguments)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_seeds_give_identical_files(simulate, tmp_path):
    options = ["--repetitions", "2", "--time-budget", "60", "--workers", "3"]
    assert simulate(*options, "--name", "one")[0] == 0
    assert simulate(*options, "--name", "two")[0] == 0
    one, two = (contents(tmp_path / "simulations" / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert one == two
    assert {"simulation.json", "best-so-far.png", "tpe-seconds/run.json"} <= one.keys()
    assert not [name for name in one if ".tmp" in name]
    summary = json.loads(one["simulation.json"])
    assert [each["strategy"] for each in summary["strategies"]] == [
        "tpe · seconds", "tpe · none", "random · seconds", "random · none",
    ]  # fmt: skip
    for each in summary["strategies"]:
        assert len(each["area"]) == 2
        assert all(0 < area < 1 for area in each["area"])
    # stopping bad trials early leaves time for more trials
    seconds, without = summary["strategies"][2:]
    assert sum(seconds["trials"]) > sum(without["trials"])
    random = ["--sampler", "random", "--seed", "1"]
    assert simulate(*options, *random, "--name", "other")[0] == 0
    other = json.loads((tmp_path / "simulations/other/simulation.json").read_text())
    assert other["strategies"][0]["area"] != summary["strategies"][2]["area"]


def test_an_interrupted_simulation_reports_its_complete_repetitions(simulate, table, tmp_path):
    options = ["--time-budget", "60", "--scheduler", "seconds", "--space", table[1]]
    process = subprocess.Popen(
        [sys.executable, "-m", "tune_ode.cli", "simulate", table[0], *options,
         "--repetitions", "10000", "--name", "cut"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    manifests = "simulations/.cut*/*-seconds/run.json"
    while sum('"running"' not in path.read_text() for path in tmp_path.glob(manifests)) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # to all processes, as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    (completed,) = re.fullmatch(
        r"tune-ode: interrupted after (\d+) of 10,000 repetitions\n", err
    ).groups()
    assert "best-so-far.png" in out
    assert simulate(*options, "--repetitions", completed, "--name", "uncut")[0] == 0
    simulations = tmp_path / "simulations"
    assert contents(simulations / "cut") == contents(simulations / "uncut")
    assert len(list(simulations.iterdir())) == 2, "no partial directory is left"


def test_simulated_searches_are_readable_as_runs(simulate, tune_ode):
    options = ["--repetitions", "1", "--trials", "12", "--sampler", "random"]
    status, out, _ = simulate(*options, "--sampler", "random", "--scheduler", "seconds")
    assert status == 0
    assert "simulate  random · seconds\n" in out, "duplicates are simulated once"
    _, out, _ = tune_ode("rank", "simulations/curves/random-seconds", "--json")
    assert len(json.loads(out)) == 12


class Stops(RandomSampler):
    """Ends the search at its seventh proposal."""

    def before_trial(self, study, trial):
        if trial.number == 6:
            study.stop()


class Raises(RandomSampler):
    """Fails at its first proposal."""

    def before_trial(self, study, trial):
        raise ValueError("none left")


@pytest.fixture
def simulate_one(recordings, table, tmp_path):
    """Return a function that simulates one search, and returns its manifest."""

    def run(sampler, **options):
        values = {"source": table[0], "samplers": [sampler], "schedulers": ["none"], "workers": 2}
        options = SimulationOptions(**values, repetitions=1, trials=200, **options)
        simulate_search(recordings, options, options.strategies[0], 0, tmp_path / "run")
        return read_manifest(tmp_path / "run")

    return run


@pytest.mark.parametrize(
    ("sampler", "options", "reason"),
    [
        (f"{__name__}:Stops", {}, "the sampler ended the search"),
        ("random", {"patience": 5}, "patience: no improvement for 5 trials"),
    ],
)
def test_a_simulated_search_ends_like_a_real_one(simulate_one, sampler, options, reason):
    manifest = simulate_one(sampler, **options)
    assert (manifest.state, manifest.stop_reason) == ("finished", reason)


def test_a_sampler_that_fails_ends_a_simulation(simulate_one):
    with pytest.raises(
        RunFailed, match=r"the sampler raised ValueError: none left \(test_simulate"
    ):
        simulate_one(f"{__name__}:Raises")


def test_invalid_options_create_no_files(usage_error, table, tmp_path):
    source, space = table
    for arguments, message in [
        ([source, "--sampler", "tpee"], "unknown sampler 'tpee'; did you mean 'tpe'?"),
        ([source, "--sampler", "grid"], "--sampler grid needs a finite space, and optimizer.lea"),
        ([source, "--patience", "0"], "--patience"),
        ([source, "--scheduler", "asha"], "schedulers"),
        ([source, "--objective", "speed"], "objective"),
        ([source, "--repetitions", "0"], "--repetitions"),
        (["nowhere.jsonl"], "no such file: nowhere.jsonl"),
    ]:
        assert message in usage_error("simulate", *arguments, "--space", space)
    assert not (tmp_path / "simulations").exists()
    (tmp_path / "simulations" / "curves").mkdir(parents=True)
    error = usage_error("simulate", source, "--space", space)
    assert "simulations/curves exists already; choose another --name" in error


def test_best_so_far_counts_observations_from_their_time_on():
    observations = [
        Observation(2.0, "0001", 1.0, 0.4),
        Observation(4.0, "0002", 3.0, 0.3),
        Observation(6.0, "0002", 5.0, 0.7),
    ]
    search = SimulatedSearch(observations, 2, 0, 6.0, 0.0, 0.0, 3)
    best = best_so_far_at([search], np.array([1.0, 2.0, 5.0, 6.0, 9.0]))
    assert best.tolist() == [[0.0, 0.4, 0.4, 0.7, 0.7]]
