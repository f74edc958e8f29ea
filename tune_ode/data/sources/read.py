"""Read many image files in threads, and list all that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from tune_ode.data.images import Decoding, Images, Progress
from tune_ode.data.sources.decode import Header, Unsuitable, decode, without_warnings
from tune_ode.errors import DataError, first_line
from tune_ode.process.limits import usable_cores

_CHUNK = 256  # files per task: small enough for progress reports, large enough for low overhead
_LISTED = 20  # unusable files that an error names

DEFAULT = Decoding()

T = TypeVar("T")


def read_image(file: Path, shape: tuple[int, int, int], decoding: Decoding = DEFAULT) -> Images:
    """Decode one image file; see `read_all`.

    Returns:
        uint8 (C, H, W).
    """
    images, _ = read_all([file], shape, decoding)
    pixels: Images = images[0]
    return pixels


def read_all(
    files: Sequence[Path],
    shape: tuple[int, int, int],
    decoding: Decoding = DEFAULT,
    operation: str = "",
    progress: Progress = lambda operation, fraction: None,
) -> tuple[Images, list[Header]]:
    """Decode image files that must all be usable.

    Args:
        files: files in formats that Pillow reads.
        shape: (C, H, W) with H = W. With C = 1 color is converted to luma (ITU-R 601), with C = 3
            grey is repeated.
        decoding: background and levels.
        operation: for the progress.
        progress: called with the finished fraction.

    Returns:
        uint8 (N, C, H, W) and N headers.

    Raises:
        DataError: files cannot be used; names the first 20.
    """
    images, found = read_images(files, shape, decoding, operation, progress)
    problems = depth_problems(files, found, decoding)
    if problems:
        raise unusable(problems, len(files), "")
    return images, [header for header in found if isinstance(header, Header)]


def read_images(
    files: Sequence[Path],
    shape: tuple[int, int, int],
    decoding: Decoding,
    operation: str,
    progress: Progress,
) -> tuple[Images, list[Header | str]]:
    """Decode image files in threads (Pillow releases the GIL).

    Returns:
        uint8 (N, C, H, W), and in the order of the files a header, or a sentence that names a file
        and why it cannot be used.

    Raises:
        DataError: not enough memory.
    """
    images = np.empty((len(files), *shape), dtype=np.uint8)

    def decode_at(index: int) -> Header | str:
        file = files[index]
        try:
            images[index], header = decode(file, shape, decoding)
            return header
        except Unsuitable as problem:
            return f"{file} {problem}"
        except MemoryError as error:
            raise DataError(
                f"there is not enough memory to decode {file}; free some, or make the image smaller"
            ) from error
        except Exception as error:  # Pillow raises many types for damaged files, even SyntaxError
            # with the path only once
            system = error.strerror if isinstance(error, OSError) else None
            reason = system or first_line(error).replace(f" {str(file)!r}", "")
            return f"{file} is not a readable image ({reason})"

    with without_warnings():
        return images, _map_in_threads(decode_at, len(files), operation, progress)


def depth_problems(
    files: Sequence[Path], found: Sequence[Header | str], decoding: Decoding
) -> dict[Path, str]:
    """Return the files that cannot be used, also since their pixels have no common scale."""
    problems = {}
    for file, header in zip(files, found, strict=True):
        if isinstance(header, str):
            problems[file] = header
        elif (levels := decoding.levels) is not None and header.depth != levels.depth:
            problems[file] = (
                f"{file} has {header.depth} pixels, but the model's images have {levels.depth} "
                f"ones from {levels.black:g} to {levels.white:g}"
            )
        elif levels is None and header.depth not in ("8-bit", "16-bit"):
            problems[file] = (
                f"{file} has {header.depth} pixels, which have no scale in common with 8-bit or "
                "16-bit images"
            )
    return problems


def unusable(problems: dict[Path, str], total: int, alternative: str) -> DataError:
    """Return the error that lists unusable files; the alternative follows the remedy."""
    return DataError(f"{list_problems(problems, total)}; remove or convert them{alternative}")


def list_problems(problems: dict[Path, str], total: int) -> str:
    """Return one line with the number of unusable files and the first of them."""
    listed = "; ".join(problems[file] for file in sorted(problems)[:_LISTED])
    return (
        f"{len(problems)} of {total} images cannot be used: {listed}"
        f"{'; …' if len(problems) > _LISTED else ''}"
    )


def _map_in_threads(
    function: Callable[[int], T], count: int, operation: str, progress: Progress
) -> list[T]:
    """Apply a function to 0 … count - 1; raise the first error in this order."""
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    results: list[T] = []
    with ThreadPoolExecutor(usable_cores().count) as pool:
        try:
            for chunk in pool.map(lambda chunk: [function(index) for index in chunk], chunks):
                results += chunk
                progress(operation, len(results) / count)
        except BaseException:  # no memory, or Ctrl-C: do not decode the rest
            pool.shutdown(cancel_futures=True)
            raise
    return results
