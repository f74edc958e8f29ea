"""Decoding: orientation, transparency, deep pixels and huge images, alike wherever they occur."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_ode.config import DataConfig
from tune_ode.data import Decoding, Levels, load, read_image
from tune_ode.data.sources import decode
from tune_ode.data.sources.read import read_images
from tune_ode.errors import ConfigurationError, DataError

ORIENTATION = 0x0112
CORNERS = [[0, 80], [160, 240]]
TURNED = {
    1: CORNERS,
    2: [[80, 0], [240, 160]],
    3: [[240, 160], [80, 0]],
    4: [[160, 240], [0, 80]],
    5: [[0, 160], [80, 240]],
    6: [[160, 0], [240, 80]],
    7: [[240, 80], [160, 0]],
    8: [[80, 240], [0, 160]],
}
"""What a viewer shows for each EXIF orientation of `CORNERS`."""


def corners(side: int) -> Image.Image:
    return Image.fromarray(np.kron(np.array(CORNERS, np.uint8), np.ones((side, side), np.uint8)))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("side", [8, 400], ids=["as stored", "reduced by the decoder"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "mpo"])
def test_exif_orientation_is_applied(tmp_path, suffix, side, orientation):
    file = tmp_path / f"photo.{suffix}"
    corners(side).save(file, exif=exif(orientation))
    shown = read_image(file, (1, 16, 16))[0, 4::8, 4::8].astype(int)
    assert abs(shown - TURNED[orientation]).max() < 10


def test_orientation_in_xmp_is_applied(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    corners(8).save(tmp_path / "photo.jpg", xmp=xmp)
    shown = read_image(tmp_path / "photo.jpg", (1, 16, 16))[0, 4::8, 4::8].astype(int)
    assert abs(shown - TURNED[6]).max() < 10


def damaged_exif() -> dict[str, tuple[bytes, int]]:
    """Return EXIF data, and the orientation that can still be read."""
    tags = exif(6)
    tags[0x011A] = 72.0
    data = tags.tobytes()
    return {
        "no header": (data.replace(b"MM", b"XX", 1), 1),
        "truncated": (data[:16], 1),
        "a tag of another type": (data.replace(b"\x01\x1a\0\x05", b"\x01\x07\0\x05"), 6),
    }


@pytest.mark.parametrize("damage", damaged_exif())
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_does_not_reject_an_image(tmp_path, suffix, damage):
    data, orientation = damaged_exif()[damage]
    corners(8).save(tmp_path / f"damaged.{suffix}", exif=data)
    shown = read_image(tmp_path / f"damaged.{suffix}", (1, 16, 16))[0, 4::8, 4::8].astype(int)
    assert abs(shown - TURNED[orientation]).max() < 10


def png(depth: int, color: int, rows: list[bytes], transparent: tuple[int, ...]) -> bytes:
    """Return a PNG file with one transparent color, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 8, 8, depth, color, 0, 0, 0)
    parts = (b"IHDR", header), (b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in (*parts, (b"IDAT", content), (b"IEND", b""))
    )


def layered(mode: str) -> Image.Image:
    """Return 8×8 pixels: black, but white and transparent in the right half."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, 4:, :3], pixels[:, :4, 3] = 255, 255
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("RGB").quantize(2)
        image.info["transparency"] = image.getpixel((7, 0))
    return image if mode == "P" else image.convert(mode)


KEYED = {
    "1-bit": png(1, 0, [b"\x0f"] * 8, (1,)),
    "2-bit": png(2, 0, [b"\x00\xaa"] * 8, (2,)),
    "4-bit": png(4, 0, [b"\0\0\x99\x99"] * 8, (9,)),
    "8-bit": png(8, 0, [b"\0\0\0\0\x7f\x7f\x7f\x7f"] * 8, (0x7F,)),
    "16-bit": png(16, 0, [b"\0\0" * 4 + b"\x12\x34" * 4] * 8, (0x1234,)),
    "RGB": png(8, 2, [b"\0\0\0" * 4 + b"\1\2\3" * 4] * 8, (1, 2, 3)),
    "16-bit RGB": png(16, 2, [b"\0\0" * 12 + b"\x12\x34" * 12] * 8, (0x1234, 0x1234, 0x1234)),
}


@pytest.fixture(params=["RGBA", "LA", "P", *KEYED])
def transparent(request, tmp_path) -> Path:
    file = tmp_path / "layer.png"
    if request.param in KEYED:
        file.write_bytes(KEYED[request.param])
    else:
        image = layered(request.param)
        image.save(file, **image.info)
    return file


@pytest.mark.parametrize("side", [8, 16], ids=["same size", "resized"])
@pytest.mark.parametrize(
    ("background", "expected"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#102030", (16, 32, 48))],
)
def test_transparent_pixels_show_the_background(transparent, background, expected, side):
    pixels = read_image(transparent, (3, side, side), Decoding(background))
    assert (pixels[:, :, 0] == 0).all()
    assert pixels[:, 0, -1].tolist() == pytest.approx(expected, abs=1)
    grey = read_image(transparent, (1, side, side), Decoding(background))
    assert grey[0, 0, -1] == pytest.approx(np.dot((0.299, 0.587, 0.114), expected), abs=1)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "gif"])
def test_half_transparent_pixels_are_mixed_before_resizing(tmp_path, suffix):
    checks = np.zeros((16, 16, 4), np.uint8)
    checks[::2, :, 3] = 255  # black lines on nothing
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(checks).save(tmp_path / f"lines.{suffix}", **options)
    shown = read_image(tmp_path / f"lines.{suffix}", (1, 8, 8))[:, 1:-1].astype(int)
    assert abs(shown - 128).max() < 4


def test_grey_stays_grey_only_on_a_grey_background(tree, tmp_path):
    root = tmp_path / "images"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            layered("LA").save(root / name / f"{number}.png")
    shapes = {
        color: load(DataConfig(dataset=f"folder:{root}", background=color)).shape
        for color in ("white", "#808080", "red")
    }
    assert shapes == {"white": (1, 8, 8), "#808080": (1, 8, 8), "red": (3, 8, 8)}


@pytest.mark.parametrize("name", ["blakc", "#12345", "rgba(0,0,0,0)", "#00000000", ""])
def test_an_invalid_background_is_rejected(name):
    with pytest.raises(ConfigurationError, match=r"not an opaque color; use a name or #rrggbb"):
        DataConfig.from_dict({"background": name})


RAMP = np.arange(256).reshape(16, 16)
DEEP = {
    "12 bits in uint16": (RAMP * 16).astype(np.uint16),
    "int32": RAMP.astype(np.int32),
    "negative int32": (RAMP * 1000 - 70_000).astype(np.int32),
    "float in [0, 1]": (RAMP / 255).astype(np.float32),
    "float": (RAMP * 1e6 - 1e3).astype(np.float32),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_images_are_scaled_by_the_range_of_the_data_set(tmp_path, kind):
    """A file of the dark half of the range stays dark, in the data set and in a prediction."""
    root, pixels = tmp_path / "images", DEEP[kind]
    dark = np.where(RAMP < 128, pixels, pixels.min())
    for name, one in {"a": pixels, "b": dark}.items():
        (root / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(one).save(root / name / f"{number}.tif")
    data = load(DataConfig(dataset=f"folder:{root}"))
    assert data.levels is not None
    assert data.levels[1:] == (pixels.min(), pixels.max())
    for label, expected in enumerate((RAMP, np.where(RAMP < 128, RAMP, 0))):
        shown = data.train_images[data.train_labels == label][0, 0]
        assert abs(shown.astype(int) - expected).max() <= 1
        file = root / "ab"[label] / "0.tif"
        assert np.array_equal(read_image(file, data.shape, Decoding(levels=data.levels))[0], shown)


def test_16_bit_images_among_8_bit_images_are_scaled_by_their_type(tmp_path):
    for name, pixels in {"a": RAMP.astype(np.uint8), "b": (RAMP * 257).astype(np.uint16)}.items():
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = load(DataConfig(dataset=f"folder:{tmp_path}"))
    assert data.levels is None
    assert (data.train_images == RAMP).all()


@pytest.mark.parametrize(
    ("pixels", "levels", "reason"),
    [
        (DEEP["int32"], None, "has 32-bit pixels, which have no scale in common"),
        (DEEP["float"], None, "has floating-point pixels"),
        (RAMP.astype(np.uint8), Levels("16-bit", 0, 4095), "has 8-bit pixels, but the model's"),
        (DEEP["float"], Levels("32-bit", 0, 255), "have 32-bit ones from 0 to 255"),
        (DEEP["float"] * np.nan, Levels("floating-point", 0, 1), "that are not finite numbers"),
    ],
)
def test_pixels_without_a_common_scale_are_rejected(tmp_path, pixels, levels, reason):
    Image.fromarray(pixels).save(tmp_path / "one.tif")
    with pytest.raises(DataError, match=reason):
        read_image(tmp_path / "one.tif", (1, 16, 16), Decoding(levels=levels))


@pytest.mark.filterwarnings("error")
def test_huge_images_are_reduced_by_the_decoder_or_rejected(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(decode, "LARGEST_PIXELS", 100_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    for suffix in ("jpg", "png"):
        corners(400).save(tmp_path / f"huge.{suffix}")
    shown = read_image(tmp_path / "huge.jpg", (1, 16, 16))[0, 4::8, 4::8].astype(int)
    assert abs(shown - CORNERS).max() < 10
    with pytest.raises(DataError, match=r"huge\.png has 1 megapixels \(at most 0, except in JPEG"):
        read_image(tmp_path / "huge.png", (1, 16, 16))
    assert Image.MAX_IMAGE_PIXELS == 100_000
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate", "group4"])
@pytest.mark.filterwarnings("error")
def test_damaged_files_print_nothing(tmp_path, capfd, compression):
    """Neither Python warnings nor the messages of libtiff."""
    file = tmp_path / "damaged.tif"
    mode = "1" if compression == "group4" else "RGB"
    corners(32).convert(mode).save(file, compression=compression)
    content, files = bytearray(file.read_bytes()), []
    for offset in range(8, len(content), len(content) // 40):
        changed = content.copy()
        changed[offset : offset + 3] = b"\xaa\x55\xaa"
        files.append(tmp_path / f"{offset}.tif")
        files[-1].write_bytes(changed)
    read_images(files, (1, 16, 16), Decoding(), "", lambda operation, fraction: None)
    assert capfd.readouterr() == ("", "")
