"""Output that cannot be written or encoded: no trace, one line, and a run that goes on."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENCODINGS = ("ascii", "latin-1", "utf-8", "cp1252", "utf-16")
PROGRAM = """
import sys
from tune_ode.cli.main import OutputLost
from tune_ode.cli.streams import safe_streams
status = 0
try:
    with safe_streams(keep_running=sys.argv[1] == "run"):
        for _ in range(3):
            print("x" * 100_000)
        with open("done", "w") as file:
            file.write("goes on")
except OutputLost as lost:
    status = lost.status
sys.exit(status)
"""


def python(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, *arguments], env=environment, stderr=subprocess.PIPE, check=False,
        stdin=subprocess.DEVNULL, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def closed_pipe():
    """Return a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.fixture(params=["closed pipe", "full device", "read-only file"])
def broken(request, closed_pipe):
    """Return a broken output, the status of a command that wrote to it, and its error."""
    if request.param == "closed pipe":
        yield closed_pipe, 0, "the reader of the output has exited"
    elif request.param == "full device":
        with open("/dev/full", "wb") as file:
            yield file, 1, "cannot write the output: No space left on device"
    else:
        with open("/dev/null", "rb") as file:
            yield file, 1, "cannot write the output: Bad file descriptor"


def test_a_run_goes_on_without_output(broken, tmp_path):
    output, status, error = broken
    ended = python("-c", PROGRAM, "run", stdout=output, cwd=tmp_path)
    assert ended.returncode == status
    assert ended.stderr.decode() == f"tune-ode: {error}; going on without output\n"
    assert (tmp_path / "done").read_text() == "goes on"


def test_any_other_command_ends(broken, tmp_path):
    output, status, error = broken
    ended = python("-c", PROGRAM, "list", stdout=output, cwd=tmp_path)
    assert ended.returncode == status
    assert ended.stderr.decode() == (f"tune-ode: {error}\n" if status else "")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (0, 1, 2)])
def test_files_do_not_get_the_number_of_a_closed_stream(tmp_path, descriptors):
    def close():
        for descriptor in descriptors:
            os.close(descriptor)

    ended = python("-c", PROGRAM, "list", stdout=subprocess.PIPE, cwd=tmp_path, preexec_fn=close)
    assert ended.returncode == 0
    assert len(ended.stdout) == (0 if 1 in descriptors else 300_003)
    assert (tmp_path / "done").read_text() == "goes on"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_character_can_be_printed(encoding, tmp_path):
    text = "preparing … 1×8×8 ± → ä 日本 🙂 \udcff"
    program = f"""
import sys
from tune_ode.cli.streams import safe_streams
with safe_streams(keep_running=False):
    print({text!a})
    print({text!a}, file=sys.stderr)
"""
    ended = python("-c", program, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": encoding})
    assert ended.returncode == 0
    if encoding == "ascii":
        printed = rb"preparing ~ 1x8x8 ~ -> \xe4 \u65e5\u672c \U0001f642 " + b"\xff\n"
        assert (ended.stdout, ended.stderr) == (printed, printed)
    if encoding == "utf-8":
        assert ended.stdout == text.encode(errors="surrogateescape") + b"\n"


def test_a_full_terminal_that_does_not_block_is_waited_for(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    read = bytearray()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "list"], stdout=writer, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(writer)
    with suppress(OSError):
        while part := os.read(reader, 4096):
            read += part
    os.close(reader)
    assert process.wait() == 0
    assert len(read) == 300_003


@pytest.mark.parametrize("arguments", [["recipes"]])
def test_commands_print_one_line_if_the_device_is_full(arguments):
    with open("/dev/full", "wb") as full:
        ended = python("-m", "tune_ode.cli", *arguments, stdout=full)
    assert ended.returncode == 1
    error = b"tune-ode: cannot write the output: No space left on device\n"
    assert ended.stderr == error
