"""Checkpoints, YAML files and images of other people are used, or rejected in one line."""

import contextlib
import io
import os
import random
import resource
import signal
import zipfile
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from search_spaces.recipes import recipes
from search_spaces.resolve import resolve_space
from tests.factories import make_manifest, make_task
from tests.file_fuzzer import VALUES
from tune_ode.api.resolve import resolve_config
from tune_ode.cli.main import run as run_command
from tune_ode.errors import UsageError
from tune_ode.records import BEST_CHECKPOINT, MANIFEST, dumps
from tune_ode.worker.task import run_trial

SECONDS = 20
MEMORY_KIB = 2 * 2**20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with one trained trial on the 8×8 digits."""
    run = tmp_path_factory.mktemp("trained")
    task = make_task(run, **{"training.epochs": 1})
    (run / MANIFEST).write_text(dumps(make_manifest(base=task.config).to_json()))
    *_, end = run_trial(task)
    assert end.outcome == "completed"
    return run


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    return path


@pytest.fixture
def ends_in_one_line(capsys):
    """Return a function that runs a command, and checks its status, errors, time and memory."""

    def timeout(*_):
        raise AssertionError(f"no exit within {SECONDS} s")

    signal.signal(signal.SIGALRM, timeout)

    def command(*arguments):
        signal.alarm(SECONDS)
        try:
            status = run_command([str(argument) for argument in arguments])
        finally:
            signal.alarm(0)
        printed = capsys.readouterr()
        assert status in (0, 1, 2)
        assert printed.err.count("\n") == (status > 0), printed.err
        assert not set(printed.out + printed.err) & {"\x1b", "\u202e", "\x9b"}
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEMORY_KIB
        return status

    return command


def damage(content, rng):
    """Return a file with some of its bytes changed, moved or removed."""
    for _ in range(rng.choice([1, 1, 3, 30])):
        at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        change = rng.choice(
            [content[:at], content[:at] + content[end:], content[:end] + content[at:],
             content[:at] + rng.randbytes(rng.choice([1, 4, 90])) + content[at + 1 :]]
        )  # fmt: skip
        content = change or content
    return content


def repacked(content, rng):
    """Return an archive with valid checksums whose pickle or tensors are damaged."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as new,
    ):
        names = old.namelist()
        damaged = rng.choice([name for name in names if name.endswith("data.pkl")] * 5 + names)
        for name in names:
            piece = old.read(name)
            new.writestr(name, damage(piece, rng) if name == damaged else piece)
    return written.getvalue()


def fuzz_checkpoints(seeds, trained, image, ends_in_one_line):
    path = trained / "trials/0001" / BEST_CHECKPOINT
    original = path.read_bytes()
    try:
        for seed in seeds:
            rng = random.Random(seed)
            path.write_bytes(rng.choice([damage, repacked, repacked])(original, rng))
            ends_in_one_line("predict", f"{trained}:0001", image)
    finally:
        path.write_bytes(original)
    assert ends_in_one_line("predict", f"{trained}:0001", image) == 0


def fuzz_yaml(seeds, path):
    texts = [recipe.encode() for recipe in map(recipe_text, recipes())]
    for seed in seeds:
        rng = random.Random(seed)
        lines = rng.choice(texts).split(b"\n")
        at = rng.randrange(len(lines))
        value = rng.choice([*VALUES, "*a", "&a [*a]", "!!python/object:os.system {}", "? ? ? a"])
        lines[at] = lines[at].partition(b":")[0] + b": " + value.encode(errors="surrogatepass")
        content = b"\n".join(lines)
        path.write_bytes(damage(content, rng) if rng.random() < 0.5 else content)
        for read in (resolve_config, resolve_space):
            with contextlib.suppress(UsageError):
                read(str(path))


def recipe_text(name):
    return files("search_spaces.recipes").joinpath(f"{name}.yaml").read_text()


def fuzz_images(seeds, trained, path, ends_in_one_line):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    kinds = {}
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"):
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, kind)
        kinds[kind] = written.getvalue()
    for seed in seeds:
        rng = random.Random(seed)
        kind = rng.choice(list(kinds))
        file = path.with_suffix(f".{kind}")
        file.write_bytes(damage(kinds[kind], rng))
        ends_in_one_line("predict", f"{trained}:0001", file)


def test_damaged_checkpoints_images_and_yaml_files(trained, image, tmp_path, ends_in_one_line):
    fuzz_checkpoints(range(10), trained, image, ends_in_one_line)
    fuzz_images(range(10), trained, image, ends_in_one_line)
    fuzz_yaml([*range(10), 1448], tmp_path / "config.yaml")


@pytest.mark.long
def test_many_damaged_checkpoints_images_and_yaml_files(trained, image, tmp_path, ends_in_one_line):
    fuzz_checkpoints(range(100, 400), trained, image, ends_in_one_line)
    fuzz_images(range(100, 400), trained, image, ends_in_one_line)
    fuzz_yaml(range(100, 400), tmp_path / "config.yaml")


@pytest.mark.parametrize("name", [BEST_CHECKPOINT, "config.json", "reports.jsonl", "outcome.json"])
def test_a_pipe_in_a_run_blocks_no_command(trained, image, ends_in_one_line, name):
    path = trained / "trials/0001" / name
    moved = path.with_name("moved")
    if exists := path.exists():
        path.rename(moved)
    os.mkfifo(path)
    try:
        predicted = ends_in_one_line("predict", f"{trained}:0001", image)
        assert predicted == (2 if name == BEST_CHECKPOINT else 0)
    finally:
        path.unlink()
        if exists:
            moved.rename(path)
