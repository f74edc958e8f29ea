"""Malformed runs: `rank` and `report` show what is valid, or end with one line."""

import random
import resource
import signal

import pytest

from analysis.plots import PLOTS
from tests.analysis.conftest import load_ranked
from tests.file_fuzzer import mutate
from tune_ode import records
from tune_ode.cli.main import run as run_command
from tune_ode.errors import UsageError

SECONDS = 20
"""Most seconds of a command; most take a fiftieth of one."""
MEMORY_KIB = 2 * 2**20
COMMANDS = (["rank"], ["rank", "--csv"], ["rank", "--json", "--by", "anytime"], ["report"])


@pytest.fixture
def searched(make_run):
    """A search with every kind of trial, contention, and a confirmation."""
    run = make_run()
    params = {"optimizer.learning_rate": 0.1, "solver.method": "rk4", "model.width": 8}
    for number in range(1, 13):
        curve = [(1.0, 0.3), (2.0, 0.5 + number / 100), (4.0, 0.6 + number / 100)]
        run.trial(f"{number:04d}", curve, params=params | {"model.width": 8 * number})
    run.trial("0013", [(1.0, 0.2)], "failed", reason="ValueError")
    run.trial("0014", [(1.0, 0.4)], None)
    contention = {
        "column": "train_seconds", "concurrency": [1, 2], "slowdown": [1.0, 3.0],
        "error": [0.0, 0.1], "step_seconds": 0.1, "repetitions": 5, "threads": 1, "node": "here",
    }  # fmt: skip
    run.change_manifest(contention={"cpu": contention}, validation_images=400)
    curve = [(1.0, 0.5), (2.0, 0.8)]
    run.confirm([("0012", curve, {}), ("0012", curve, {}), ("0001", curve, {})])
    return run.folder


@pytest.fixture
def compared(make_run):
    run = make_run("compared")
    run.compare([(case, seed, 1.0 + seed, [0.5, 0.6]) for case in ("a", "b") for seed in (0, 1)],
                seeds=2)  # fmt: skip
    return run.folder


@pytest.fixture
def fuzz(searched, compared, capsys):
    """Return a function that runs a command on a number of mutated runs."""

    def timeout(*_):
        raise AssertionError(f"no exit within {SECONDS} s")

    signal.signal(signal.SIGALRM, timeout)

    def fuzz(seeds, *, plots=False):
        files = {
            run: [path for path in sorted(run.rglob("*.json*")) if "report" not in path.parts]
            for run in (searched, compared)
        }
        statuses = set()
        for seed in seeds:
            rng = random.Random(seed)
            run = rng.choice([searched, searched, compared])
            path = rng.choice([run / records.MANIFEST, *files[run]])
            before = path.read_bytes()
            path.write_bytes(mutate(before, rng))
            name, *options = rng.choice(COMMANDS)
            signal.alarm(SECONDS)
            try:
                statuses.add(run_command([name, str(run), *options]))
                if plots:
                    draw_all(run)
            except BaseException as error:
                error.add_note(f"seed {seed}, {path}")
                raise
            finally:
                signal.alarm(0)
            printed = capsys.readouterr()
            assert printed.err.count("\n") <= 1, seed
            assert not set(printed.out + printed.err) & {"\x1b", "\u202e", "\x9b"}, seed
            path.write_bytes(before)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEMORY_KIB
        assert statuses <= {0, 1, 2}
        return statuses

    return fuzz


def draw_all(run):
    try:
        loaded, ranking = load_ranked(run)
    except UsageError:
        return
    for plot in PLOTS.values():
        plot.draw(loaded, ranking)


def test_mutated_runs_are_read_or_rejected(fuzz, no_pictures):
    assert fuzz(range(60)) == {0, 2}


@pytest.mark.long
def test_many_mutated_runs_are_read_or_rejected(fuzz, no_pictures):
    fuzz(range(1000, 2200))
