"""The TIFF reader: the real image, what other programs write, and what is refused."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from test_data_catalog import REAL_TIFF

from bpsweep.data.errors import ImageError
from bpsweep.data.images import decode_image, read_image, write_image

PIXELS = np.random.default_rng(3).integers(0, 65536, (37, 23), dtype=np.uint16)


def test_the_real_image(real_set: Path) -> None:
    pixels = read_image(real_set / REAL_TIFF)
    assert (pixels.shape, pixels.dtype) == ((141, 149), np.dtype("uint16"))
    assert (pixels.min(), pixels.max()) == (257, 2470)
    assert (pixels == tifffile.imread(real_set / REAL_TIFF)).all()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("rows", [None, 5, 37])
@pytest.mark.parametrize(
    ("compression", "predictor"),
    [(None, False), ("zlib", False), ("zlib", True), ("lzw", True), ("deflate", False)],
)
def test_reads_what_tifffile_writes(
    tmp_path: Path, byteorder: str, rows: int | None, compression: str | None, predictor: bool
) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(
        path,
        PIXELS,
        byteorder=byteorder,
        rowsperstrip=rows,
        compression=compression,
        predictor=predictor,
    )
    pixels = read_image(path)
    assert pixels.dtype == np.uint16
    assert (pixels == PIXELS).all()


def test_what_is_written_is_read_and_always_the_same(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in paths:
        write_image(path, PIXELS)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (read_image(paths[0]) == PIXELS).all()
    with tifffile.TiffFile(paths[0]) as tiff:
        assert tiff.pages[0].compression == 32946
        assert (tiff.asarray() == PIXELS).all()
    with pytest.raises(ImageError, match=r"pixels are float64 of shape \(37, 23\); .* uint16"):
        write_image(tmp_path / "c.tif", PIXELS.astype(float))


def tiff(pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    path = Path("made.tif")
    tifffile.imwrite(path, pixels, **options)
    return path.read_bytes()


def patch(content: bytes, tag: int, value: int) -> bytes:
    """Replace the inline value of a tag in a little-endian TIFF, as LONG."""
    start = struct.unpack_from("<I", content, 4)[0]
    (n_tags,) = struct.unpack_from("<H", content, start)
    for position in range(start + 2, start + 2 + 12 * n_tags, 12):
        if struct.unpack_from("<H", content, position)[0] == tag:
            entry = struct.pack("<HHII", tag, 4, 1, value)
            return content[:position] + entry + content[position + 12 :]
    raise AssertionError(tag)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"", "the file is empty; fetch or copy it again"),
        (lambda: b"II*\0", "not a TIFF, it starts with"),
        (
            lambda: b"\x89PNG\r\n\x1a\n" + bytes(50),
            "not a TIFF, it starts with .*PNG.*save it again",
        ),
        (lambda: tiff()[:500], "is truncated: its pixels end at"),
        (lambda: tiff(compression="zlib")[:-1], "is truncated"),
        (lambda: tiff()[:100] + bytes(100), "is truncated|not a TIFF|lacks tag|bytes follow"),
        (
            lambda: tiff(np.stack([PIXELS] * 3), photometric="minisblack"),
            "has several pages; one is allowed",
        ),
        (lambda: tiff(PIXELS.astype(np.uint8)), "holds uint8 pixels; uint16 is allowed"),
        (lambda: tiff(PIXELS.astype(np.int16)), "holds int16 pixels"),
        (lambda: tiff(PIXELS.astype(np.float32)), "holds float32 pixels"),
        (lambda: tiff(np.dstack([PIXELS] * 3), photometric="rgb"), r"3 samples a pixel \(colour\)"),
        (lambda: tiff(PIXELS, photometric="miniswhite"), "is inverted"),
        (lambda: tiff(PIXELS, tile=(16, 16)), "stored in tiles"),
        (lambda: tiff(PIXELS, bigtiff=True), "a BigTIFF"),
        (lambda: tiff(PIXELS, compression="packbits"), "has compression 32773; none, LZW, Deflate"),
        (lambda: tiff() + b"more", "4 bytes follow the end of the image"),
        (lambda: patch(tiff(), 256, 2_000_000_000), "claims 37 x 2000000000 pixels; 1 to 4096"),
        (lambda: patch(tiff(), 257, 0), "claims 0 x 23 pixels"),
        (lambda: patch(tiff(), 278, 0), "0 rows a strip"),
        (lambda: patch(tiff(compression="zlib"), 256, 24), "is damaged: a strip has 1702 bytes"),
        (lambda: patch(tiff(compression="zlib"), 256, 22), "is damaged, a strip cannot be decoded"),
    ],
)
def test_bad_content_is_refused_with_its_reason(make: object, message: str) -> None:
    path = Path("bad.tif")
    path.write_bytes(make())
    with pytest.raises(ImageError, match=f"bad.tif: .*({message})"):
        read_image(path)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    real, link, pipe = (tmp_path / name for name in ("real.tif", "link.tif", "pipe.tif"))
    write_image(real, PIXELS)
    link.symlink_to(real)
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match="a link, which is not followed"):
        read_image(link)
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(pipe)
    with pytest.raises(ImageError, match=r"none\.tif: No such file"):
        read_image(tmp_path / "none.tif")


@given(st.data())
def test_damaged_bytes_never_crash_the_reader(data: st.DataObject) -> None:
    content = bytearray(GOOD[data.draw(st.integers(0, len(GOOD) - 1))])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for damaged in (bytes(content), bytes(content[:cut])):
        try:
            pixels = decode_image(damaged)
        except ImageError:
            continue
        assert pixels.dtype == np.uint16
        assert pixels.ndim == 2


def _good() -> list[bytes]:
    made = []
    for options in ({}, {"compression": "zlib", "rowsperstrip": 9}, {"byteorder": ">"}):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, PIXELS, **options)
        made.append(buffer.getvalue())
    return made


GOOD = _good()
