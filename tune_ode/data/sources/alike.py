"""Read image files with the shape and the levels that most of them, or all, have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path

from tune_ode.data.images import LARGEST_SIDE, BuildContext, Decoding, Images, Levels
from tune_ode.data.sources.decode import Header
from tune_ode.data.sources.read import depth_problems, read_images


def read_alike(
    files: Sequence[Path], training: int, background: str, build: BuildContext
) -> tuple[Images, Levels | None, dict[Path, str]]:
    """Decode the image files of a data set.

    Args:
        files: training images first.
        training: number of training images, on which levels are measured.
        background: color behind transparent pixels.
        build: progress and space.

    Returns:
        uint8 (N, C, S, S), the levels, and the files that cannot be used, with the reason: if there
        are any, the images are not complete.
    """

    # Opening a small image costs as much as decoding it. So decode once with the shape of the first
    # image, and again only if that is not the common shape.
    def read(
        count: int, shape: tuple[int, int, int], levels: Levels | None, suffix: str = ""
    ) -> tuple[Images, list[Header | str]]:
        build.check_space(len(files) * prod(shape))
        decoding = Decoding(background, levels)
        return read_images(
            files[:count], shape, decoding, f"decoding images{suffix}", build.progress
        )

    headers = [header for header in read(1, (1, 8, 8), None)[1] if isinstance(header, Header)]
    shape = _common_shape(headers)
    images, found = read(len(files), shape, None)
    headers = [header for header in found if isinstance(header, Header)]
    levels = _common_levels(headers, found[:training])
    if problems := depth_problems(files, found, Decoding(background, levels)):
        return images, levels, problems
    common = _common_shape(headers)
    if common != shape:
        images, _ = read(len(files), common, levels, " with their common size")
    elif levels is not None:
        images, _ = read(len(files), common, levels, " with their common range")
    return images, levels, {}


def _common_shape(headers: Sequence[Header]) -> tuple[int, int, int]:
    sides = Counter(min(header.side, LARGEST_SIDE) for header in headers) or Counter([LARGEST_SIDE])
    side = max(sides, key=lambda size: (sides[size], size))
    return (1 if all(header.grey for header in headers) else 3), side, side


def _common_levels(headers: Sequence[Header], training: Sequence[Header | str]) -> Levels | None:
    """Return the range of the training images, if all images have more than 8 bits of one type."""
    depths = {header.depth for header in headers}
    if len(depths) != 1 or depths == {"8-bit"}:
        return None
    measured = [header for header in training if isinstance(header, Header)]
    black = min((header.smallest for header in measured), default=0.0)
    white = max((header.largest for header in measured), default=0.0)
    return Levels(depths.pop(), black, white)
