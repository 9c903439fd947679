"""The one module that knows TIFF: one grey 16-bit page in, one out.

tifffile writes. It does not read: files are untrusted, so of the format only what microscopes
write for such images is understood (classic TIFF, strips, no compression, LZW or Deflate), and
every length is checked against the file and the image before anything is allocated; that also
takes half the time of a general reader's tag parsing. Format: TIFF 6.0, Adobe, 1992,
https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf.
"""

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from bpsweep.data.errors import ImageError

MAX_SIDE: Final = 4096  # pixels; the published images have 60 to 280
MAX_FILE_BYTES: Final = 2 * MAX_SIDE * MAX_SIDE + 65536

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL_ORDER, _OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _COUNTS = 266, 273, 277, 278, 279
_PREDICTOR, _TILE_OFFSETS, _SAMPLE_FORMAT = 317, 324, 339
_NUMBER_TYPES: Final = {1: "B", 3: "H", 4: "I"}
_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_UNCOMPRESSED, _LZW, _DEFLATES = 1, 5, (8, 32946)
_CONVERT: Final = "; save it again as one uint16 grey page, e.g. with tifffile.imwrite"


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file of sensible size; links and devices are not followed.

    Raises:
        ImageError: no such file, not a regular one, empty, or larger than any usable image; the
            message does not name it.
    """
    try:
        # O_NONBLOCK: a pipe named like an image must not hang the reader.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        kind = "a link, which is not followed" if path.is_symlink() else error.strerror
        raise ImageError(f"{kind}; an image must be a readable regular file") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a regular file; an image must be one")
        if status.st_size == 0:
            raise ImageError("the file is empty; fetch or copy it again")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(f"{status.st_size} bytes; at most {MAX_FILE_BYTES} are read")
        return file.read(MAX_FILE_BYTES + 1)


def read_image(path: Path) -> NDArray[np.uint16]:
    """The pixels of a TIFF file.

    Returns:
        (Y, X) uint16, the camera's counts as stored.

    Raises:
        ImageError: the file is no usable image; the message says what came and what is allowed.
    """
    try:
        return decode_image(read_bytes(path))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__


def read_mask(path: Path) -> NDArray[np.bool_]:
    """The pixels of a mask's TIFF, 8 or 16 bits, that are not zero: (Y, X).

    Raises:
        ImageError: the file is no usable mask; the message says what came and what is allowed.
    """
    try:
        mask: NDArray[np.bool_] = _Page(read_bytes(path), bits_allowed=(8, 16)).decode() > 0
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__
    return mask


def decode_image(content: bytes) -> NDArray[np.uint16]:
    """The pixels of a TIFF's bytes; raises as `read_image` does, without the name."""
    return _Page(content).decode()


def write_image(path: Path, pixels: NDArray[np.uint16]) -> None:
    """Write (Y, X) uint16 pixels as a Deflate TIFF; the same pixels give the same bytes."""
    if pixels.ndim != 2 or pixels.dtype != np.uint16 or not 0 < max(pixels.shape) <= MAX_SIDE:
        raise ImageError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}; a (Y, X) uint16 array of at "
            f"most {MAX_SIDE} a side can be written"
        )
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack",
        compression=tifffile.COMPRESSION.DEFLATE,
        compressionargs={"level": 3},
        metadata=None,  # no shape and no writer's version, which would change the bytes
        software=False,
    )


@dataclass
class _Page:
    """The one page of a TIFF, read and checked step by step."""

    content: bytes
    bits_allowed: tuple[int, ...] = (16,)

    def decode(self) -> NDArray[np.uint16]:
        self._read_header()
        self._read_tags()
        self._check_kind()
        height, width = self._one(_LENGTH), self._one(_WIDTH)
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise ImageError(f"claims {height} x {width} pixels; 1 to {MAX_SIDE} a side are read")
        strips = self._strips(height)
        self._check_end(strips)
        decoded = [self._decode_strip(strip, width) for strip in strips]
        pixels = np.concatenate(decoded) if len(decoded) > 1 else decoded[0]
        return pixels.astype(np.uint16, copy=False)

    def _read_header(self) -> None:
        marks = {b"II": "<", b"MM": ">"}
        self.order = marks.get(self.content[:2], "")
        magic = struct.unpack(f"{self.order}H", self.content[2:4])[0] if self._has(0, 8) else 0
        if not self.order or magic != 42:
            kind = "a BigTIFF" if self.order and magic == 43 else "not a TIFF"
            raise ImageError(f"{kind}, it starts with {self.content[:8]!r}{_CONVERT}")

    def _read_tags(self) -> None:
        """Fill `tags` with (type, count, position of the values), and `end`, the last byte used."""
        start = self._unpack("I", 4)[0]
        n_tags = self._unpack("H", start)[0]
        entry = struct.Struct(f"{self.order}HHI")
        self.end = start + 2 + 12 * n_tags + 4
        if not self._has(start, self.end - start):
            raise ImageError(_truncated(f"its directory ends at byte {self.end}", self.content))
        self.tags: dict[int, tuple[int, int, int]] = {}
        for position in range(start + 2, self.end - 4, 12):
            tag, kind, count = entry.unpack_from(self.content, position)
            n_bytes = _TYPE_BYTES.get(kind, 1) * count
            if n_bytes > 4:
                value_at = self._unpack("I", position + 8)[0]
                if not self._has(value_at, n_bytes):
                    raise ImageError(
                        _truncated(f"tag {tag} ends at {value_at + n_bytes}", self.content)
                    )
                self.end = max(self.end, value_at + n_bytes)
            else:
                value_at = position + 8
            self.tags[tag] = (kind, count, value_at)
        if self._unpack("I", start + 2 + 12 * n_tags)[0] != 0:
            raise ImageError(f"has several pages; one is allowed{_CONVERT}")

    def _check_kind(self) -> None:
        samples, bits = self._one(_SAMPLES, 1), self._numbers(_BITS, (1,))
        kind = {1: "uint", 2: "int", 3: "float"}.get(self._numbers(_SAMPLE_FORMAT, (1,))[0], "void")
        photometric, compression = self._one(_PHOTOMETRIC, 1), self._one(_COMPRESSION, 1)
        if samples != 1 or photometric not in {0, 1}:
            raise ImageError(
                f"has {samples} samples a pixel (colour); one grey is allowed{_CONVERT}"
            )
        if len(bits) != 1 or bits[0] not in self.bits_allowed or kind != "uint":
            allowed = " or ".join(f"uint{n}" for n in self.bits_allowed)
            raise ImageError(f"holds {kind}{bits[0]} pixels; {allowed} is allowed{_CONVERT}")
        self.pixel = np.dtype(f"{self.order}u{bits[0] // 8}")
        if photometric == 0:
            raise ImageError(f"is inverted (white is zero); black must be zero{_CONVERT}")
        if _TILE_OFFSETS in self.tags or self._one(_FILL_ORDER, 1) != 1:
            raise ImageError(f"is stored in tiles or with reversed bits; strips are read{_CONVERT}")
        if compression not in {_UNCOMPRESSED, _LZW, *_DEFLATES}:
            raise ImageError(
                f"has compression {compression}; none, LZW, Deflate are read{_CONVERT}"
            )
        if self._one(_PREDICTOR, 1) not in {1, 2}:
            raise ImageError(f"has predictor {self._one(_PREDICTOR)}; 1 or 2 is read{_CONVERT}")

    def _strips(self, height: int) -> list[tuple[int, int, int]]:
        """(offset, bytes, rows) of every strip, all inside the file."""
        per_strip = min(self._one(_ROWS_PER_STRIP, height), height)
        offsets, counts = self._numbers(_OFFSETS), self._numbers(_COUNTS)
        n_strips = -(-height // max(per_strip, 1))
        if per_strip < 1 or len(offsets) != n_strips or len(counts) != n_strips:
            raise ImageError(
                f"has {len(offsets)} strip offsets, {len(counts)} strip lengths and {per_strip} "
                f"rows a strip for {height} rows; they must fit together{_CONVERT}"
            )
        rows = [per_strip] * (n_strips - 1) + [height - per_strip * (n_strips - 1)]
        strips = list(zip(offsets, counts, rows, strict=True))
        for offset, count, _ in strips:
            if not self._has(offset, count):
                raise ImageError(_truncated(f"its pixels end at {offset + count}", self.content))
        return strips

    def _check_end(self, strips: list[tuple[int, int, int]]) -> None:
        end = max(self.end, *(offset + count for offset, count, _ in strips))
        if len(self.content) > end + end % 2:
            raise ImageError(
                f"{len(self.content) - end} bytes follow the end of the image at byte {end}; "
                f"nothing may follow{_CONVERT}"
            )

    def _decode_strip(self, strip: tuple[int, int, int], width: int) -> NDArray[np.uint16]:
        offset, count, rows = strip
        plain: bytes | bytearray = self.content[offset : offset + count]
        n_bytes = self.pixel.itemsize * rows * width
        compression = self._one(_COMPRESSION, 1)
        try:
            if compression == _LZW:
                plain = imagecodecs.lzw_decode(plain, out=n_bytes)
            elif compression in _DEFLATES:
                plain = imagecodecs.deflate_decode(plain, out=n_bytes)
        except RuntimeError as error:  # every codec's error is one
            raise ImageError(f"is damaged, a strip cannot be decoded: {error}") from error
        if len(plain) != n_bytes:
            raise ImageError(f"is damaged: a strip has {len(plain)} bytes, {n_bytes} are needed")
        pixels = np.frombuffer(plain, dtype=self.pixel).reshape(rows, width)
        if self._one(_PREDICTOR, 1) == 2:  # differences along each row, modulo 2**8 or 2**16
            pixels = np.cumsum(pixels, axis=1, dtype=self.pixel.newbyteorder("="))
        return pixels

    def _numbers(self, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        if tag not in self.tags:
            if default is None:
                raise ImageError(f"lacks tag {tag}, without which a TIFF has no pixels{_CONVERT}")
            return default
        kind, count, position = self.tags[tag]
        if kind not in _NUMBER_TYPES or not 1 <= count <= MAX_SIDE:
            raise ImageError(f"has {count} values of type {kind} in tag {tag}{_CONVERT}")
        return self._unpack(f"{count}{_NUMBER_TYPES[kind]}", position)

    def _one(self, tag: int, default: int | None = None) -> int:
        return self._numbers(tag, None if default is None else (default,))[0]

    def _unpack(self, form: str, position: int) -> tuple[int, ...]:
        form = self.order + form
        if not self._has(position, struct.calcsize(form)):
            raise ImageError(_truncated(f"byte {position} is needed", self.content))
        return struct.unpack_from(form, self.content, position)

    def _has(self, start: int, n_bytes: int) -> bool:
        return start + n_bytes <= len(self.content)


def _truncated(what: str, content: bytes) -> str:
    return f"is truncated: {what} and the file has {len(content)} bytes; fetch or copy it again"
