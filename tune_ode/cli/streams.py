"""Standard output and error that can encode any text, and whose loss does not end a run."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ENCODING_ERRORS = "tune_ode.substitute"
_SUBSTITUTES = {
    "…": "~", "×": "x", "±": "~", "·": ".", "–": "-", "−": "-", "→": "->", "≥": ">=",
    **dict(zip("▁▂▃▄▅▆▇█", "_.-~=+*#", strict=True)),
}  # fmt: skip
"""Character of our own output → ASCII; one character where a table could get too wide."""


class OutputLost(Exception):
    """Standard output cannot be written any more; the user has been told."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        # the reader of a pipe, such as `head`, exits when it has seen enough
        self.status = 0 if error.errno == errno.EPIPE else 1
        """Exit status of the command, if it succeeds otherwise."""


@contextmanager
def safe_streams(*, keep_running: bool) -> Iterator[None]:
    """Replace `sys.stdout` and `sys.stderr` for the whole process.

    Characters that their encoding lacks are substituted or escaped. Errors of stderr are ignored,
    and so is a stream that was closed before the start. An error of stdout is printed on stderr,
    except that a pipe's reader may exit.

    Args:
        keep_running: on an error of stdout, discard further output instead of ending the command.

    Raises:
        OutputLost: stdout could not be written.
    """
    codecs.register_error(_ENCODING_ERRORS, _substitute)
    _open_closed_descriptors()
    lost: OutputLost | None = None

    def on_failure(error: OSError) -> None:
        nonlocal lost
        lost = OutputLost(error)
        reason = f"cannot write the output: {error.strerror}"
        if lost.status == 0:
            reason = "the reader of the output has exited"
        if keep_running:
            print(f"tune-ode: {reason}; going on without output", file=sys.stderr, flush=True)
            return
        if lost.status:
            print(f"tune-ode: {reason}", file=sys.stderr, flush=True)
        raise lost

    sys.stdout = _text_stream(1, sys.stdout, on_failure)
    sys.stderr = _text_stream(2, sys.stderr, lambda error: None)
    try:
        yield
    finally:
        # also after an error, or Python would fail to flush at its exit, with status 120
        sys.stdout.flush()
    if lost is not None:
        raise lost


class _Descriptor(io.FileIO):
    """A file descriptor that discards everything after its first error."""

    def __init__(self, descriptor: int, on_failure: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._on_failure = on_failure
        self._failed = False

    def write(self, data: ReadableBuffer) -> int:
        while not self._failed:
            try:
                written = super().write(data)
            except OSError as error:
                self._failed = True
                self._on_failure(error)
            else:
                if written is not None:
                    return written
                select.select([], [self], [])  # a terminal or pipe that does not block is full
        return memoryview(data).nbytes


def _text_stream(
    descriptor: int, original: TextIO | None, on_failure: Callable[[OSError], None]
) -> TextIO:
    """Return a stream with the encoding and buffering of the original, which may be None."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor, on_failure)),
        encoding=getattr(original, "encoding", "utf-8"),
        errors=_ENCODING_ERRORS,
        line_buffering=getattr(original, "line_buffering", False),
        write_through=getattr(original, "write_through", False),
    )


def _open_closed_descriptors() -> None:
    """Open closed standard streams, or a file of the run would get their numbers."""
    for descriptor in range(3):
        with suppress(OSError):
            os.fstat(descriptor)
            continue
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace one character that cannot be encoded; an error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    single_bytes = not error.encoding.startswith(("utf-16", "utf-32"))
    if single_bytes and "\udc80" <= character <= "\udcff":  # of a path that is not valid Unicode
        return bytes([ord(character) - 0xDC00]), error.start + 1
    escaped = character.encode("ascii", "backslashreplace").decode()
    return _SUBSTITUTES.get(character, escaped), error.start + 1
