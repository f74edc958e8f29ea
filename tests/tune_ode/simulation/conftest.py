"""A table of synthetic learning curves over a small conditional space."""

import json
import math
import random

import pytest

from search_spaces import Choice, Float, Int, Space, to_yaml
from tune_ode.simulation.recordings import Recordings

SPACE = Space(
    {
        "optimizer.learning_rate": Float(1e-3, 1.0, log=True),
        "training.epochs": Int(2, 10),
        "solver.method": Choice({"euler": Space({"solver.steps": Int(1, 8)}), "dopri5": None}),
    }
)


class RandomTrial(random.Random):
    """Samples a space at random."""

    def suggest_float(self, name, low, high, *, step, log):
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def suggest_int(self, name, low, high, *, step, log):
        return self.randint(low, high)

    def suggest_categorical(self, name, choices):
        return self.choice(choices)


def row(trial):
    """Return a trial; the best rate is 0.1, and dopri5 takes as long as five Euler steps."""
    params = SPACE.sample(trial)
    best = 0.99 * math.exp(-0.3 * abs(math.log10(params["optimizer.learning_rate"]) + 1))
    epoch_seconds = 0.5 * params.get("solver.steps", 5)
    curve = [
        {
            "epoch": epoch,
            "train_seconds": epoch_seconds * epoch,
            "wall_seconds": epoch_seconds * epoch + 1.0,
            "val_accuracy": best * (1 - math.exp(-epoch)),
        }
        for epoch in range(1, params["training.epochs"] + 1)
    ]
    return {"params": params, "curve": curve}


@pytest.fixture(scope="session")
def space():
    return SPACE


@pytest.fixture(scope="session")
def make_rows():
    """Return a function that makes rows of a table from a seed."""

    def make(seed, number):
        trial = RandomTrial(seed)
        return [row(trial) for _ in range(number)]

    return make


@pytest.fixture
def rows(make_rows):
    return make_rows(0, 40)


@pytest.fixture
def write_table(tmp_path):
    """Return a function that writes a table and its space, and returns both paths."""

    def write(rows, name="curves"):
        table, space = tmp_path / f"{name}.jsonl", tmp_path / "space.yaml"
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        space.write_text(to_yaml(SPACE))
        return str(table), str(space)

    return write


@pytest.fixture
def table(write_table, rows):
    return write_table(rows)


@pytest.fixture
def recordings(table):
    return Recordings.read(*table)
