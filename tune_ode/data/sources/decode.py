"""Decode one image file to a uint8 array of a given size.

In this order: turn the image as its EXIF orientation says, reduce it to 8 bits, composite it on the
background, resize it with antialiasing so that its shorter side has the target size, crop the
center square.
"""

from __future__ import annotations

import ctypes
import logging
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps, _imaging
from PIL import __version__ as PILLOW_VERSION

from tune_ode.data.images import SMALLEST_SIDE, Decoding, Depth, Images

VERSION = f"2, Pillow {PILLOW_VERSION}"
"""Part of the cache key: changes whenever the pixels of a file may."""
LARGEST_PIXELS = 89_478_485
"""Pillow's limit, 256 MiB of RGB; JPEG files are decoded at a reduced size, so may be larger."""

_NOT_IMAGES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"})
"""Formats that Pillow cannot decode, or only with other programs."""
_KEY_SCALES = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}
"""Raw modes of PNG files whose transparent color Pillow does not scale as it scales pixels."""
_DAMAGED_EXIF = (SyntaxError, ValueError, TypeError, LookupError, AttributeError, OSError, EOFError,
                 struct.error)  # fmt: skip

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else it prints warnings to stderr


@dataclass(frozen=True)
class Header:
    """Properties of an image file that the images of a data set must have in common."""

    side: int
    """The shorter one, in pixels."""
    grey: bool
    """Stored in one channel; a color file with grey pixels only counts as color."""
    depth: Depth = "8-bit"
    smallest: float = 0.0
    largest: float = 255.0
    """Range of the opaque pixels, as stored."""


class Unsuitable(Exception):
    """What is wrong with a readable image, as a sentence without its subject."""


def extensions() -> frozenset[str]:
    """Return the lower-case extensions of the formats that can be read, such as `.png`."""
    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(extension for extension, name in known if name not in _NOT_IMAGES)


def decode(file: Path, shape: tuple[int, int, int], decoding: Decoding) -> tuple[Images, Header]:
    """Decode one image file, within `without_warnings`.

    Args:
        file: a file in a format that Pillow reads; of an animation, the first frame.
        shape: (C, H, W) with H = W. With C = 1 color is converted to luma (ITU-R 601), with C = 3
            grey is repeated.
        decoding: background and levels.

    Returns:
        uint8 (C, H, W), and the properties of the file.

    Raises:
        Unsuitable: the image is too small, too large, or not finite.
        Exception: of many types, even SyntaxError, if the file is damaged.
    """
    channels, side, _ = shape
    Image.init()
    formats = [name for name in Image.OPEN if name not in _NOT_IMAGES]
    if not stat.S_ISREG(file.stat().st_mode):  # a named pipe would block
        raise Unsuitable("is not a regular file")
    with Image.open(file, formats=formats) as image:
        width, height = image.size
        if min(width, height) < SMALLEST_SIDE:
            raise Unsuitable(
                f"is {width}×{height} pixels (at least {SMALLEST_SIDE} per side are needed)"
            )
        _scale_transparent_color(image)
        # large images: the JPEG decoder may skip detail that resizing would discard
        scale = 2 * side / min(width, height)
        if scale < 1:
            image.draft(None, (round(width * scale), round(height * scale)))
        if image.width * image.height > LARGEST_PIXELS:
            raise Unsuitable(
                f"has {width * height / 1e6:,.0f} megapixels (at most {LARGEST_PIXELS / 1e6:.0f}, "
                "except in JPEG files)"
            )
        image.load()
        with suppress(*_DAMAGED_EXIF):  # which says nothing about the pixels
            ImageOps.exif_transpose(image, in_place=True)
        depth = _depth(image)
        if depth == "8-bit":
            opaque = _opaque(image, decoding.background)
            header = Header(min(width, height), opaque.mode == "L")
        else:
            scaled, smallest, largest = _eight_bits(image, depth, decoding)
            opaque = _opaque(scaled, decoding.background)
            header = Header(min(width, height), opaque.mode == "L", depth, smallest, largest)
        square = _resized(opaque, side)
        pixels = np.asarray(square.convert("L" if channels == 1 else "RGB"))
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)), header


def _scale_transparent_color(image: Image.Image) -> None:
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    if image.format == "PNG" and tiles and (scale := _KEY_SCALES.get(str(tiles[0].args))):
        if isinstance(key, tuple):
            image.info["transparency"] = tuple(int(value * scale) for value in key)
        elif isinstance(key, int):
            image.info["transparency"] = int(key * scale)


def _depth(image: Image.Image) -> Depth:
    if image.mode == "F":
        return "floating-point"
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return "16-bit"  # Pillow widens 16 bits of these formats to 32
    return "32-bit" if image.mode == "I" else "8-bit"


def _eight_bits(
    image: Image.Image, depth: Depth, decoding: Decoding
) -> tuple[Image.Image, float, float]:
    """Scale grey pixels of more than 8 bits; return them with their range.

    Without common levels, 16-bit pixels are scaled by their type, others by their own range.
    """
    values = np.asarray(image)
    key = image.info.get("transparency")
    opaque = values != key if isinstance(key, int) else np.ones(values.shape, dtype=bool)
    visible = values[opaque]
    if not np.isfinite(visible).all():
        raise Unsuitable("has pixels that are not finite numbers")
    limits = (visible.min(), visible.max()) if visible.size else (np.inf, -np.inf)
    smallest, largest = map(float, limits)
    if decoding.levels is None and depth == "16-bit":
        scaled = values // 256  # as Pillow reads 16-bit color
    else:
        _, black, white = decoding.levels or (depth, smallest, largest)
        scaled = np.rint(np.interp(values, (black, white), (0, 255)))  # clips
    grey = Image.fromarray(scaled.astype(np.uint8))
    if not opaque.all():
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey, smallest, largest


def _opaque(image: Image.Image, background: str) -> Image.Image:
    """Composite an 8-bit image on the background; return mode L or RGB."""
    color = ImageColor.getrgb(background)
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, color)
        canvas.alpha_composite(image.convert("RGBA"))
        image, grey = canvas, grey and len({*color}) == 1
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Image.Image, side: int) -> Image.Image:
    shorter = min(image.size)
    if shorter != side:
        size = [max(side, round(length * side / shorter)) for length in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow, whose limit of pixels `decode` replaces by its own."""
    with suppress(OSError, AttributeError):  # libtiff prints to stderr by itself
        libtiff = ctypes.CDLL(_imaging.__file__)
        libtiff.TIFFSetErrorHandler(None)
        libtiff.TIFFSetWarningHandler(None)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
