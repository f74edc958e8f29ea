"""Repeated simulations: the same to the byte, told apart by intervals, readable as runs."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tune_ode.cli.main import run
from tune_ode.simulation.engine import Observation
from tune_ode.simulation.simulate import Simulated
from tune_ode.simulation.summary import best_so_far_at


@pytest.fixture
def simulate(table, tmp_path, monkeypatch, capsys):
    """Return a function that runs the command, and returns status, output and error."""
    monkeypatch.chdir(tmp_path)

    def simulate(*arguments, source=table[0], space=table[1]):
        capsys.readouterr()
        return run(["simulate", source, "--space", space, *arguments]), *capsys.readouterr()

    return simulate


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_simulation_to_the_byte(simulate, tmp_path):
    asked = ["--repetitions", "2", "--time-budget", "60", "--workers", "3"]
    assert simulate(*asked, "--name", "one")[0] == 0
    assert simulate(*asked, "--name", "two")[0] == 0
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
    # what stops bad trials early has time for more of them
    seconds, without = summary["strategies"][2:]
    assert sum(seconds["trials"]) > sum(without["trials"])
    random = ["--sampler", "random", "--seed", "1"]
    assert simulate(*asked, *random, "--name", "other")[0] == 0
    other = json.loads((tmp_path / "simulations/other/simulation.json").read_text())
    assert other["strategies"][0]["area"] != summary["strategies"][2]["area"]


def test_interrupted_it_tells_what_the_whole_repetitions_say(simulate, table, tmp_path):
    asked = ["--time-budget", "60", "--scheduler", "seconds", "--space", table[1]]
    process = subprocess.Popen(
        [sys.executable, "-m", "tune_ode.cli", "simulate", table[0], *asked,
         "--repetitions", "10000", "--name", "cut"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    manifests = "simulations/.cut*/*-seconds/run.json"
    while sum('"running"' not in path.read_text() for path in tmp_path.glob(manifests)) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all its processes hear it
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    (whole,) = re.fullmatch(
        r"tune-ode: interrupted after (\d+) of 10000 repetitions\n", err
    ).groups()
    assert "best-so-far.png" in out
    assert simulate(*asked, "--repetitions", whole, "--name", "so-many")[0] == 0
    simulations = tmp_path / "simulations"
    assert contents(simulations / "cut") == contents(simulations / "so-many")
    assert len(list(simulations.iterdir())) == 2, "nothing half-made stays"


def test_what_was_simulated_reads_as_a_run_does(simulate, tmp_path, capsys):
    options = ["--repetitions", "1", "--trials", "12", "--sampler", "random"]
    status, out, _ = simulate(*options, "--sampler", "random", "--scheduler", "seconds")
    assert status == 0
    assert "simulate  random · seconds\n" in out, "named twice, simulated once"
    assert run(["rank", "simulations/curves/random-seconds", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 12


def test_wrong_questions_leave_nothing_behind(simulate, tmp_path):
    for arguments, said in [
        (["--sampler", "tpee"], "unknown sampler 'tpee'; did you mean 'tpe'?"),
        (["--scheduler", "asha"], "schedulers"),
        (["--objective", "speed"], "objective"),
        (["--repetitions", "0"], "--repetitions"),
    ]:
        status, _, err = simulate(*arguments)
        assert status == 2, arguments
        assert said in err
        assert err.count("\n") == 1
    assert "there is no nowhere.jsonl" in simulate(source="nowhere.jsonl")[2]
    assert not (tmp_path / "simulations").exists()
    (tmp_path / "simulations" / "curves").mkdir(parents=True)
    status, _, err = simulate()
    assert status == 2
    assert "simulations/curves exists already; choose another --name" in err


def test_the_best_so_far_is_known_when_it_was_learned():
    learned = [
        Observation(2.0, "0001", 1.0, 0.4),
        Observation(4.0, "0002", 3.0, 0.3),
        Observation(6.0, "0002", 5.0, 0.7),
    ]
    search = Simulated(learned, 2, 0, 6.0, 0.0, 0.0, 3)
    best = best_so_far_at([search], np.array([1.0, 2.0, 5.0, 6.0, 9.0]))
    assert best.tolist() == [[0.0, 0.4, 0.4, 0.7, 0.7]]
