"""Reading from the bucket with patience: many connections, attempts with growing pauses."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bpsweep.data.bucket import Bucket, Checksums, PermanentError, RemoteFile, TransientError
from bpsweep.data.errors import FetchError
from bpsweep.data.folders import PART_SUFFIX

_MAX_PAUSE_S: Final = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class FetchSettings:
    """How to fetch.

    Attributes:
        endpoint_url: another S3 than Amazon's.
        with_masks: the DAPI images and nucleus masks of the selected cells too.
        accept_changed_labels: go on with a `meta.csv` that is not the pinned one.
        n_connections: files at a time.
        timeout_s: without a byte, before an attempt counts as failed.
        n_attempts: for each file.
        pause_s: before the second attempt; doubled before each further one.
    """

    endpoint_url: str | None = None
    with_masks: bool = False
    accept_changed_labels: bool = False
    n_connections: int = 32
    timeout_s: float = 10.0
    n_attempts: int = 8
    pause_s: float = 0.25


class Fetcher:
    """A bucket with threads, and attempts with growing pauses; leaving it ends them all."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._bucket = Bucket(settings.endpoint_url, settings.n_connections, settings.timeout_s)
        self._pool = ThreadPoolExecutor(settings.n_connections)
        self._stop = threading.Event()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    @property
    def settings(self) -> FetchSettings:
        return self._settings

    def list_all(self, prefixes: Iterable[str]) -> Iterator[RemoteFile]:
        """The objects below several prefixes, which are listed at once."""

        def list_one(prefix: str) -> list[RemoteFile]:
            return self._try(prefix, lambda: list(self._bucket.list_files(prefix)))

        for found in self._pool.map(list_one, prefixes):
            yield from found

    def read(self, key: str) -> bytes:
        return self._try(key, lambda: self._bucket.read_file(key))

    def start_file(self, remote: RemoteFile, path: Path) -> "Future[Checksums]":
        """Begin to fetch an object to a path; the file appears whole and checked, or not at all."""
        return self._pool.submit(self._fetch_one, path, remote)

    def _fetch_one(self, path: Path, remote: RemoteFile) -> Checksums:
        part = path.with_name(f".{path.name}{PART_SUFFIX}")

        def attempt() -> Checksums:
            sums = self._bucket.save_file(remote.key, part)
            if not sums.fits(remote):
                raise TransientError(
                    f"{sums.n_bytes} bytes with MD5 {sums.md5} came; listed are "
                    f"{remote.n_bytes} with {remote.etag}"
                )
            return sums

        try:
            sums = self._try(remote.key, attempt)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        return sums

    def _try(self, what: str, attempt: Callable[[], T]) -> T:
        """The result of an attempt that succeeds; FetchError when none does."""
        for n_tried in range(1, self._settings.n_attempts + 1):
            try:
                return attempt()
            except PermanentError as error:
                raise FetchError(f"{what}: {error}") from error
            except TransientError as error:
                if n_tried == self._settings.n_attempts:
                    raise FetchError(f"{what}: {error} ({n_tried} attempts)") from error
            pause_s = min(_MAX_PAUSE_S, self._settings.pause_s * 2 ** (n_tried - 1))
            # Spread out, so that connections refused together do not come back together.
            if self._stop.wait(pause_s * random.uniform(0.5, 1.0)):  # noqa: S311
                raise FetchError(f"{what}: stopped")
        raise AssertionError("n_attempts is at least 1")
