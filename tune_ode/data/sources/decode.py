"""Decode image files to uint8 arrays of one size, in threads.

An image is resized with antialiasing so that its shorter side has the target size, then cropped to
the center square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from tune_ode.data.images import Images, Progress
from tune_ode.errors import DataError, first_line
from tune_ode.process_limits import usable_cores

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Extensions of torchvision's ImageFolder; case-insensitive."""
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
"""Pillow modes with one channel; a color file with grey pixels only counts as color."""

_CHUNK = 256  # files per task: small enough for progress reports, large enough for low overhead

T = TypeVar("T")


@dataclass(frozen=True)
class Header:
    """Size and mode of an image file."""

    width: int
    height: int
    grey: bool


def read_image(file: Path, shape: tuple[int, int, int]) -> Images:
    """Decode one image file.

    Args:
        file: a file in a format that Pillow reads; transparency is dropped.
        shape: (C, H, W) with H = W. With C = 1 color is converted to luma (ITU-R 601), with C = 3
            grey is repeated.

    Returns:
        uint8 (C, H, W).

    Raises:
        DataError: the file cannot be read.
    """
    return _decode(file, shape)[0]


def read_images(
    files: Sequence[Path], shape: tuple[int, int, int], operation: str, progress: Progress
) -> tuple[Images, list[Header]]:
    """Decode image files in threads (Pillow releases the GIL).

    Returns:
        uint8 (N, C, H, W) and N headers, in the order of the files.

    Raises:
        DataError: a file cannot be read; names the first one.
    """
    images = np.empty((len(files), *shape), dtype=np.uint8)

    def decode(index: int) -> Header:
        images[index], header = _decode(files[index], shape)
        return header

    return images, _map_in_threads(decode, len(files), operation, progress)


def read_header(file: Path) -> Header:
    """Read size and mode of an image file.

    Raises:
        DataError: the file cannot be read.
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
    except Exception as error:  # Pillow raises many types for damaged files, even SyntaxError
        raise _unreadable(file, error) from error
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)), header


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file} is not a readable image ({first_line(error)}); remove it or replace it"
    )


def _eight_bits(image: Image.Image, side: int) -> Image.Image:
    """Convert 16-bit grey to 8 bits, which Pillow would clip."""
    if image.mode == "F":
        raise ValueError("floating-point pixels; must be 8 or 16 bits")
    if image.mode.startswith("I"):
        high_byte = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(high_byte.astype(np.uint8))
    # large images: the JPEG decoder may skip detail that resizing would discard
    scale = 2 * side / min(image.size)
    if scale < 1:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))
    return image


def _resized(image: Image.Image, side: int) -> Image.Image:
    shorter = min(image.size)
    if shorter != side:
        size = [max(side, round(length * side / shorter)) for length in image.size]
        # palettes and bitmaps cannot be interpolated
        image = image.convert("RGB") if image.mode == "P" else image
        image = image.convert("L") if image.mode == "1" else image
        image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


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
        except BaseException:  # an unreadable file, or Ctrl-C: do not decode the rest
            pool.shutdown(cancel_futures=True)
            raise
    return results
