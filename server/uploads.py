"""Uploaded bytes on disk.

Names that clients choose never become paths: a run's file lies under the numbers of its records,
an artifact's under the MD5 of its content. So no name can lead out of the folder.
"""

import base64
import binascii
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bpsweep.server.disk import Disk
from bpsweep.server.errors import BadRequestError, TooLargeError

_MD5_HEX = re.compile(r"[0-9a-f]{32}")
MAX_NAME = 1024
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Stored:
    """What has arrived: how many bytes, and their MD5 in hex."""

    size: int
    md5: str


class Uploads:
    """The uploads folder of one store."""

    def __init__(self, folder: Path, max_bytes: int, disk: Disk | None = None) -> None:
        """Make the folder and clear what an earlier process left half-written."""
        self.folder = folder
        self._disk = disk or Disk(folder)
        self._max_bytes = max_bytes
        self._partial = folder / "partial"
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True, exist_ok=True)

    def locate_run_file(self, run_id: int, file_id: int) -> Path:
        """Return where a run's file lies."""
        return locate_run_file(self.folder, run_id, file_id)

    def locate_blob(self, md5: str) -> Path:
        """Return where an artifact file with this MD5 (hex) lies.

        Raises:
            BadRequestError: The text is no MD5.
        """
        if not _MD5_HEX.fullmatch(md5):
            raise BadRequestError(f"{md5!r} is not an MD5 in hex")
        return self.folder / "blobs" / md5[:2] / md5

    def locate_manifest(self, manifest_id: int) -> Path:
        """Return where an artifact's manifest lies."""
        return self.folder / "manifests" / str(int(manifest_id))

    async def receive(
        self, target: Path, chunks: AsyncIterator[bytes], *, md5: str | None = None
    ) -> Stored:
        """Write a body to a temporary file, flush it to disk and rename it into place.

        Raises:
            TooLargeError: The body is longer than allowed; nothing is kept.
            BadRequestError: The content has not the announced MD5; nothing is kept.
            NoRoomError: The disk takes nothing more; nothing is kept.
        """
        with self._disk.refusals(), self._begin() as incoming:
            async for chunk in chunks:
                incoming.write(chunk)
            return incoming.place(target, md5)

    def join(self, target: Path, pieces: Sequence[Path], *, md5: str) -> Stored:
        """Write files one behind the other, as if one body had come with all their bytes.

        Raises:
            TooLargeError, BadRequestError, NoRoomError: As in `receive`.
        """
        with self._disk.refusals(), self._begin() as incoming:
            for piece in pieces:
                with piece.open("rb") as file:
                    while chunk := file.read(_CHUNK_BYTES):
                        incoming.write(chunk)
            return incoming.place(target, md5)

    def write_text(self, target: Path, text: str) -> None:
        """Write a text of the server's own as an upload is: flushed to disk, then renamed."""
        with self._disk.refusals(), self._begin() as incoming:
            incoming.write(text.encode())
            incoming.place(target)

    @contextmanager
    def _begin(self) -> Iterator["_Incoming"]:
        partial = self._partial / secrets.token_hex(16)
        try:
            with partial.open("wb") as file:
                yield _Incoming(partial, file, self._max_bytes)
        finally:
            partial.unlink(missing_ok=True)

    def delete_run(self, run_id: int) -> None:
        """Delete every file of a run."""
        shutil.rmtree(self.folder / "runs" / str(int(run_id)), ignore_errors=True)


class _Incoming:
    """A file that is being written under a temporary name."""

    def __init__(self, path: Path, file: BinaryIO, max_bytes: int) -> None:
        self._path, self._file, self._max_bytes = path, file, max_bytes
        self._digest = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            TooLargeError: They are more than a file may have.
        """
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise TooLargeError(f"a file may have {self._max_bytes:,} bytes, this has more")
        self._digest.update(chunk)
        self._file.write(chunk)

    def place(self, target: Path, md5: str | None = None) -> Stored:
        """Rename the file into place, to stay there when the power fails.

        Raises:
            BadRequestError: The content has not the announced MD5.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        stored = Stored(self._size, self._digest.hexdigest())
        if md5 is not None and stored.md5 != md5:
            raise BadRequestError(f"the uploaded content has MD5 {stored.md5}, announced was {md5}")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(target)
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return stored


def locate_run_file(folder: Path, run_id: int, file_id: int) -> Path:
    """Return where a run's file lies in an uploads folder."""
    return folder / "runs" / str(int(run_id)) / str(int(file_id))


def check_name(name: str) -> str:
    """Return a file name that is safe to give to other clients.

    Raises:
        BadRequestError: The name is empty, absolute, or leads out of its folder.
    """
    parts = name.split("/")
    if (
        not name
        or len(name) > MAX_NAME
        or name.startswith("/")
        or "\\" in name
        or "\x00" in name
        or ".." in parts
        or re.match(r"[A-Za-z]:", name)
    ):
        raise BadRequestError(f"{name[:100]!r} is not a relative file name inside the run")
    return name


def digest_to_hex(digest: str) -> str:
    """Return an artifact file's digest (MD5 in base64) as hex.

    Raises:
        BadRequestError: The digest is no MD5.
    """
    try:
        raw = base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 16:
        raise BadRequestError(f"{digest!r} is not an MD5 in base64")
    return raw.hex()


def hex_to_digest(md5: str) -> str:
    """Return an MD5 in hex as the digest of an artifact file."""
    return base64.b64encode(bytes.fromhex(md5)).decode()
