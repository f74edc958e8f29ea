"""Both searches use the same space and data, and the table compares their results over time."""

import dataclasses

import pytest
import yaml

from benchmarks.harness import plain_ray
from benchmarks.harness.plain_ray import split_of
from benchmarks.harness.searches import DATA, OPTIONS, Measurement, SearchRun
from benchmarks.search_time import rows_of, volume_at
from search_spaces import fix, resolve_space, restrict
from tests.search_spaces.conftest import RandomTrial
from tune_ode.config import DataConfig
from tune_ode.data import load, split

NAMES = {
    "method": "solver.method", "euler_steps": "solver.steps@euler",
    "midpoint_steps": "solver.steps@midpoint", "rk4_steps": "solver.steps@rk4",
    "rtol": "solver.rtol", "gradient": "solver.gradient", "width": "model.width",
    "convolutions": "model.ode.convolutions", "dropout": "model.head.dropout",
    "optimizer": "optimizer.name", "sgd_rate": "optimizer.learning_rate@sgd",
    "adamw_rate": "optimizer.learning_rate@adamw", "batch_size": "training.batch_size",
    "epochs": "training.epochs",
}  # fmt: skip


def test_both_search_the_same_space():
    options = dict(zip(OPTIONS[1::2], OPTIONS[::2], strict=True))
    given = [text.split("=", 1) for text, option in options.items() if option == "--set"]
    fixed = [text.split("=", 1) for text, option in options.items() if option == "--fix"]
    values = {name: yaml.safe_load(text) for name, text in fixed}
    space = fix(restrict(resolve_space("quick"), dict(given)), values)
    ours, plain = RandomTrial(0), RandomTrial(0)
    for _ in range(200):
        space.sample(ours)
        plain_ray.space(plain)
    assert {NAMES[name]: limits for name, limits in plain.ranges.items()} == ours.ranges


def test_both_train_and_validate_on_the_same_images(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path))
    train, validation = split_of("digits", None, None)
    config = DataConfig(dataset="digits")
    ours = load(config, None)
    parts = split(ours, config)
    plain_images = plain_ray.images("digits", None)
    for our_indices, indices in ((parts.train, train), (parts.validation, validation)):
        assert [plain_images[index][1].item() for index in indices] == ours.train_labels[
            our_indices
        ].tolist()
    pixels = plain_images[train[0]][0].numpy()
    assert pixels == pytest.approx(ours.train_images[parts.train[0]] / 255, abs=0.002)


def test_the_plain_script_learns(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path))
    train, validation = split_of("digits", None, None)
    config = {
        "dataset": "digits", "data_dir": None, "seed": 0, "train": train, "validation": validation,
        "batch_size": 64, "width": 16, "convolutions": 1, "dropout": 0.1, "gradient": "backprop",
        "method": "euler", "euler_steps": 1, "optimizer": "adamw", "adamw_rate": 0.01, "epochs": 6,
    }  # fmt: skip
    reports = list(plain_ray.epochs(config))
    assert len(reports) == 6
    assert reports[-1]["accuracy"] > 0.3  # chance is 0.1
    assert reports[-1]["train_seconds"] > reports[0]["train_seconds"] > 0


DIGITS = dataclasses.replace(DATA["digits"], seconds=100.0)


def make_run(who, *measurements, seconds=130.0):
    return SearchRun(who, "digits", 0, seconds, [Measurement(*one) for one in measurements], {})


def test_a_search_that_misses_a_target_is_slower_than_all_others():
    quick = make_run("tune-ode", (10.0, "1", 1.0, 0.92), (20.0, "2", 2.0, 0.96))
    slow = make_run("plain", (30.0, "a", 9.0, 0.91))
    never = make_run("plain", (30.0, "a", 9.0, 0.5))
    found = {"plain": [slow, never, never], "tune-ode": [quick, quick, slow]}
    rows = {row["figure"]: row for row in rows_of(DIGITS, found, {})}
    assert rows["seconds to 0.9"]["tune-ode"] == 10.0
    assert rows["seconds to 0.9"]["plain"] is None
    assert rows["seconds to 0.9"]["plain_all"] == [30.0, None, None]
    assert rows["seconds to 0.95"]["tune-ode"] == 20.0
    assert rows["seconds to 0.95"]["times"] == 1.5, "the plain script searched for 30 s"
    assert rows["seconds to 0.95"]["times_at_least"]
    assert rows["trials per hour"]["tune-ode"] == 72.0
    assert rows["best accuracy"]["plain"] == 0.5
    assert rows["seconds over budget"]["plain"] == 30.0
    retrained = {("tune-ode", 0, "1"): 0.91, ("tune-ode", 0, "2"): 0.5}
    rows = {row["figure"]: row for row in rows_of(DIGITS, found | {"plain": [never]}, retrained)}
    assert rows["seconds to 0.9"]["tune-ode_reproduced"] == "2 of 2"
    assert rows["seconds to 0.95"]["tune-ode_reproduced"] == "0 of 2"


def test_the_hypervolume_grows_with_time():
    one = make_run("plain", (10.0, "a", 1.0, 0.5), (50.0, "b", 1.0, 0.9))
    assert volume_at(one, 5.0, 100.0) == 0.0
    assert 0 < volume_at(one, 20.0, 100.0) < volume_at(one, 60.0, 100.0) < 1
    # two of the three decades from 0.1 s to 100 s
    assert volume_at(one, 60.0, 100.0) == pytest.approx(0.9 * 2 / 3)
