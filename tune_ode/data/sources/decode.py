"""Image files to uint8 arrays of one size, in threads.

The rule that makes sizes equal: an image is resized, with antialiasing, until its shorter side is
the wanted one, and the centre square is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from tune_ode.data.images import Images, Progress
from tune_ode.errors import DataError, first_line

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Those of torchvision's ImageFolder, in any case."""
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
"""Pillow's modes of one channel; a colour file whose pixels happen to be grey is not grey."""

_CHUNK = 256  # files a task: small enough to report progress, large enough to hide its cost

T = TypeVar("T")


@dataclass(frozen=True)
class Header:
    """What a file says of its image."""

    width: int
    height: int
    grey: bool


def read_image(file: Path, shape: tuple[int, int, int]) -> Images:
    """Decode one image file.

    Args:
        file: of a format that Pillow reads; transparency is dropped.
        shape: (C, H, W) with H = W; with C = 1 colour becomes luma (ITU-R 601), with C = 3 grey is
            repeated.

    Returns:
        uint8 (C, H, W).

    Raises:
        DataError: names the file if it cannot be read.
    """
    return _decode(file, shape)[0]


def read_images(
    files: Sequence[Path], shape: tuple[int, int, int], what: str, progress: Progress
) -> tuple[Images, list[Header]]:
    """Decode image files in threads (Pillow decodes without holding Python's lock).

    Returns:
        uint8 (N, C, H, W) and the N headers, in the order of the files.

    Raises:
        DataError: names the first file that cannot be read.
    """
    images = np.empty((len(files), *shape), dtype=np.uint8)

    def decode(place: int) -> Header:
        images[place], header = _decode(files[place], shape)
        return header

    return images, _in_threads(decode, len(files), what, progress)


def read_header(file: Path) -> Header:
    """Read size and mode of an image file.

    Raises:
        DataError: names the file if it cannot be read.
    """
    try:
        with Image.open(file) as image:
            return _header_of(image)
    except Exception as error:  # see `_decode`
        raise _unreadable(file, error) from error


def _header_of(image: Image.Image) -> Header:
    return Header(image.width, image.height, image.mode in GREY_MODES)


def _decode(file: Path, shape: tuple[int, int, int]) -> tuple[Images, Header]:
    channels, side, _ = shape
    try:
        with Image.open(file) as opened:
            header = _header_of(opened)
            image = _resized(_eight_bits(opened, side), side)
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # Pillow raises a dozen kinds for damaged files, even SyntaxError
        raise _unreadable(file, error) from error
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)), header


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file} is not a readable image ({first_line(error)}); remove it or replace it"
    )


def _eight_bits(image: Image.Image, side: int) -> Image.Image:
    """Bring 16-bit grey to 8 bits: Pillow's own conversion would clip it."""
    if image.mode == "F":
        raise ValueError("floating-point pixels; 8 or 16 bits are needed")
    if image.mode.startswith("I"):
        high_byte = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(high_byte.astype(np.uint8))
    # photographs: let the JPEG decoder skip the detail that resizing would throw away
    scale = 2 * side / min(image.size)
    if scale < 1:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))
    return image


def _resized(image: Image.Image, side: int) -> Image.Image:
    shorter = min(image.size)
    if shorter != side:
        size = [max(side, round(length * side / shorter)) for length in image.size]
        # palettes and bitmaps cannot be blended
        image = image.convert("RGB") if image.mode == "P" else image
        image = image.convert("L") if image.mode == "1" else image
        image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _in_threads(work: Callable[[int], T], count: int, what: str, progress: Progress) -> list[T]:
    """Apply `work` to 0 … count - 1; the first failure in this order is raised."""
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    results: list[T] = []
    with ThreadPoolExecutor(_cores()) as pool:
        try:
            for chunk in pool.map(lambda chunk: [work(place) for place in chunk], chunks):
                results += chunk
                progress(what, len(results) / count)
        except BaseException:  # an unreadable file, or Ctrl-C: don't decode the rest first
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _cores() -> int:
    """Cores this process may use, which a scheduler may have made fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
