"""Groups: found in file names or a mapping, never in two parts of a split."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_ode.config import DataConfig
from tune_ode.data.images import ImageData
from tune_ode.data.splits import group_ids, hold_out_test, split
from tune_ode.errors import ConfigurationError, DataError

FILES = ["train/cat/a_1.png", "train/cat/a_2.png", "train/cat/b_1.png", "train/dog/a_1.png"]


def images(labels: np.ndarray, **values: object) -> ImageData:
    pixels = np.zeros((len(labels), 1, 8, 8), np.uint8)
    names = tuple(f"class {label}" for label in range(int(labels.max()) + 1))
    return ImageData("invented", names, pixels, labels, pixels[:1], labels[:1], **values)


def in_groups(labels: np.ndarray, groups: np.ndarray) -> ImageData:
    return images(labels, train_groups=groups)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(.+)_", [0, 0, 1, 0]),  # the name: the same in all classes
        (r"(.+/.+)_", [0, 0, 1, 2]),  # the path
        (r"train/(\w+)/", [0, 0, 0, 1]),
    ],
)
def test_a_pattern_is_searched_in_names_or_paths(pattern, expected):
    assert group_ids(FILES, pattern, "x").tolist() == expected


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json"])
def test_a_file_maps_names_to_groups(tmp_path, suffix):
    groups = {"a_1.png": "one", "cat/a_2.png": "two", "train/cat/b_1.png": 3}
    path = tmp_path / f"groups{suffix}"
    separator = "\t" if suffix == ".tsv" else ","
    rows = "".join(f"{name}{separator}{group}\n" for name, group in groups.items())
    path.write_text(json.dumps(groups) if suffix == ".json" else f"file{separator}group\n{rows}")
    assert group_ids(FILES, str(path), "x").tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (r"(b)_", "no group for 3 of 4 images, such as 'train/cat/a_1.png'"),
        ("/nowhere/groups.csv", "/nowhere/groups.csv cannot be used"),
    ],
)
def test_images_without_a_group_are_refused(groups, message):
    with pytest.raises(DataError, match=message):
        group_ids(FILES, groups, "x")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.json", "[1]", "not a JSON object"),
        ("x.json", "{", "Expecting"),
        ("x.json", "null", "not a JSON object"),
        ("x.json", '{"a_1.png": null}', "'a_1.png' has a group that is not a string"),
        ("x.json", '{"a_1.png": "x", "a_1.png": "y"}', "'a_1.png' has two groups, x and y"),
        ("x.csv", "cat/a_1.png,x\n./cat/a_1.png,y", "'./cat/a_1.png' has two groups, x and y"),
        ("x.csv", "file;group\na_1.png;x", "row 1 has one column, 'file;group'"),
    ],
)
def test_a_mapping_of_another_form_is_refused(tmp_path, name, content, reason):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{reason}.*must map file names to groups"):
        group_ids(FILES, str(tmp_path / name), "x")


def test_names_in_a_mapping_may_be_written_in_several_ways(tmp_path):
    names = ["./train/cat/a_1.png", "a_2.png", "cat/b_1.png ", "dog/a_1.png"]
    rows = [f'"{name}", {number}' for number, name in enumerate(names)]
    path = tmp_path / "groups.CSV"
    path.write_bytes("\r\n".join(["file,group", *rows, "", "other.png,9"]).encode("utf-8-sig"))
    assert DataConfig(groups=str(path)).groups == str(path)
    assert group_ids(FILES, str(path), "x").tolist() == [0, 1, 2, 3]
    path.write_text("cafe\u0301.png,1")
    assert group_ids(["caf\u00e9.png"], str(path), "x").tolist() == [0]


def test_a_mapping_that_is_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "groups.csv")
    with pytest.raises(DataError, match="it is a named pipe"):
        group_ids(FILES, str(tmp_path / "groups.csv"), "x")


def test_an_empty_group_is_none(tmp_path):
    (tmp_path / "groups.csv").write_text("".join(f"{Path(name).name},\n" for name in FILES))
    for groups in ("(x*)", str(tmp_path / "groups.csv")):
        with pytest.raises(DataError, match="no group for 4 of 4 images"):
            group_ids(FILES, groups, "x")


def test_data_without_files_have_no_groups():
    with pytest.raises(DataError, match="'invented' has not"):
        group_ids([], "(.)", "invented")


@pytest.mark.parametrize("groups", ["track", "(a)(b)", "(a", ""])
def test_a_pattern_has_one_group(groups):
    with pytest.raises(ConfigurationError, match="regular expression with one group"):
        DataConfig.from_dict({"groups": groups})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 6), st.booleans(), st.floats(0.05, 0.6))
def test_no_group_is_in_two_parts_and_every_class_in_all(seed, classes, shared, fraction):
    """Groups of one class each, or of images of any class."""
    random = np.random.default_rng(seed)
    number = int(random.integers(6, 12)) * classes
    groups = np.repeat(np.arange(number), random.integers(1, 9, number))
    labels = groups % classes
    if shared:  # every fifth image has another class than its group
        labels = np.where(random.random(len(labels)) < 0.2, (labels + 1) % classes, labels)
    test = hold_out_test(labels, groups, tuple(map(str, range(classes))))
    rest = in_groups(labels[test.train], groups[test.train])
    config = DataConfig(validation_fraction=fraction, split_seed=seed)
    parts = split(rest, config)
    used = [test.validation, test.train[parts.train], test.train[parts.validation]]
    assert sorted(np.concatenate(used)) == list(range(len(labels)))
    for part in used:
        assert set(labels[part]) == set(range(classes))
    found = [set(groups[part]) for part in used]
    assert sum(map(len, found)) == len(set().union(*found)) == number


def test_the_held_out_part_has_about_its_share_of_each_class():
    labels = np.repeat(np.arange(3), [300, 600, 1500])
    groups = np.arange(len(labels)) // 30
    config = DataConfig(validation_fraction=0.2)
    for seed in range(5):
        changed = config.model_copy(update={"split_seed": seed})
        held = split(in_groups(labels, groups), changed)
        shares = np.bincount(labels[held.validation]) / np.bincount(labels)
        assert abs(shares - 0.2) == pytest.approx(0, abs=15 / 300)


def test_a_class_with_one_group_is_refused():
    labels = np.repeat([0, 1], 30)
    groups = np.where(labels == 0, 0, np.arange(60))
    with pytest.raises(DataError, match=r"class 'class 0' has 1 group of .* at least 2"):
        split(in_groups(labels, groups), DataConfig())


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("size", [10, 37, 90])
def test_a_subset_has_the_requested_size(grouped, size):
    labels = np.arange(90) % 3
    grouping = {"train_groups": np.arange(90) // 5} if grouped else {"given_validation": 30}
    parts = split(images(labels, **grouping), DataConfig(train_images=size))
    assert len(parts.train) + len(parts.validation) == size
    for part in (parts.train, parts.validation):
        assert set(labels[part]) == {0, 1, 2}


def test_given_validation_images_are_used_unless_a_share_is_requested():
    data = images(np.arange(90) % 3, given_validation=30)
    assert split(data, DataConfig()).validation.tolist() == list(range(60, 90))
    own = split(data, DataConfig(validation_fraction=0.1))
    assert len(own.validation) == 9
    assert len(own.train) == 81
