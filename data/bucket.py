"""The one module that speaks to S3: listing keys and streaming objects, without credentials."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bpsweep.data.errors import FetchError

BUCKET: Final = "nasa-bps-training-data"
REGION: Final = "us-west-2"
_CHUNK_BYTES: Final = 1 << 18
_FINAL_CODES: Final = {
    "NoSuchKey",
    "NoSuchBucket",
    "AccessDenied",
    "403",
    "404",
    "InvalidBucketName",
}


class TransientError(Exception):
    """A failure that may pass: 503, a reset, a timeout, a short or altered body."""


class PermanentError(Exception):
    """A failure that trying again will not mend: no such key or bucket, no access."""


@dataclass(frozen=True)
class RemoteFile:
    """An object as the listing has it; `etag` is the MD5 unless it holds a dash."""

    key: str
    n_bytes: int
    etag: str

    @property
    def md5(self) -> str | None:
        """MD5 of the content, None where the listing does not tell."""
        return None if "-" in self.etag else self.etag


@dataclass(frozen=True)
class Checksums:
    """What was computed over a file's content."""

    n_bytes: int
    md5: str
    sha256: str

    def fits(self, remote: RemoteFile) -> bool:
        """Whether the content is the object that was listed."""
        return self.n_bytes == remote.n_bytes and remote.md5 in {None, self.md5}


class Bucket:
    """A public bucket; any number of threads may use one."""

    def __init__(self, endpoint_url: str | None, n_connections: int, timeout_s: float) -> None:
        """Prepare a client for AWS, or for any S3 at `endpoint_url`; nothing is sent yet.

        Raises:
            FetchError: `endpoint_url` is none.
        """
        config = Config(
            signature_version=UNSIGNED,
            region_name=REGION,
            max_pool_connections=n_connections,
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 1},  # the caller retries, bodies included
            s3={"addressing_style": "path"} if endpoint_url else {},
        )
        try:
            self._client: Any = boto3.client("s3", endpoint_url=endpoint_url, config=config)
        except ValueError as error:
            raise FetchError(f"{error}; --endpoint-url is like http://127.0.0.1:9000") from error

    def list_files(self, prefix: str) -> Iterator[RemoteFile]:
        """Every object whose key starts so; raises as `read_file` does."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=BUCKET, Prefix=prefix
            ):
                for entry in page.get("Contents", []):
                    yield RemoteFile(entry["Key"], entry["Size"], entry["ETag"].strip('"'))
        except (ClientError, BotoCoreError) as error:
            raise _translate(error) from error

    def read_file(self, key: str) -> bytes:
        """The content of a small object.

        Raises:
            TransientError: trying again may help.
            PermanentError: it will not.
        """
        try:
            content: bytes = self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise _translate(error) from error
        return content

    def save_file(self, key: str, path: Path) -> Checksums:
        """Stream an object to a path; raises as `read_file` does, and `OSError` for the disk."""
        try:
            body = self._client.get_object(Bucket=BUCKET, Key=key)["Body"]
            with path.open("wb") as file:
                return _sum_up(body.iter_chunks(_CHUNK_BYTES), file.write)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error) from error


def compute_checksums(path: Path) -> Checksums:
    """What `save_file` gives, from a file on disk."""
    with path.open("rb") as file:
        return _sum_up(iter(lambda: file.read(_CHUNK_BYTES), b""))


def _sum_up(
    chunks: Iterable[bytes], write: Callable[[bytes], object] = lambda chunk: None
) -> Checksums:
    md5, sha256, n_bytes = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    for chunk in chunks:
        md5.update(chunk)
        sha256.update(chunk)
        n_bytes += len(chunk)
        write(chunk)
    return Checksums(n_bytes, md5.hexdigest(), sha256.hexdigest())


def _translate(error: Exception) -> Exception:
    if isinstance(error, ClientError) and error.response["Error"].get("Code") in _FINAL_CODES:
        return PermanentError(str(error))
    return TransientError(f"{type(error).__name__}: {error}")
