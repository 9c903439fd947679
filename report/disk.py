"""What keeps a folder from being written: no space, no quota, a read-only disk, a file-size limit.

It lies here, below client and server, so that both look for it alike and say it in the same words.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

try:
    import resource
except ImportError:  # no such limits on Windows
    resource = None  # type: ignore[assignment]

ROOM_BYTES: Final = 16 << 20
"""Below this a folder counts as full: what is at work has yet to write its end."""
PROBE_BYTES: Final = 64 << 10
KINDS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""The system's numbers for a disk that takes nothing more, and is not broken."""


@dataclass(frozen=True)
class DiskTrouble:
    """Why a place cannot be written.

    Args:
        place: What is meant, as "the folder '/scratch/bpsweep'".
        kind: One of KINDS.
        n_free: Bytes that are free there, where that is known.
    """

    place: str
    kind: int
    n_free: int | None = None

    def __str__(self) -> str:
        """Say what is wrong, and what to do."""
        if self.kind == errno.EROFS:
            return (
                f"{self.place} is read-only. Have it mounted for writing; where the system made it "
                "so after an error of the disk, `dmesg` says why."
            )
        if self.kind == errno.EFBIG:
            return (
                f"a file in {self.place} may not grow beyond {_show_limit()}, the file-size limit "
                "of this session. Lift it (`ulimit -f unlimited`) and start again."
            )
        if self.kind == errno.EDQUOT:
            return (
                f"{self.place} is over its quota. Delete something there, or have the quota raised."
            )
        free = "" if self.n_free is None else f" ({self.n_free / 1e6:.1f} MB free)"
        return f"{self.place} is full{free}. Delete something there, or give it more space."

    @property
    def is_final(self) -> bool:
        """Whether waiting is of no use: a process keeps the limits that it was started with."""
        return self.kind == errno.EFBIG


def find_trouble(folder: Path, needed_bytes: int = ROOM_BYTES) -> DiskTrouble | None:
    """Say what would keep us from writing in a folder, which need not be there yet.

    A folder that is closed to us by its rights is no trouble of the disk.

    Args:
        folder: Where is to be written.
        needed_bytes: How much, at least.
    """
    there = _find_existing(folder)
    place = name_place(folder)
    try:
        status = os.statvfs(there)
    except OSError:
        return None
    free = status.f_frsize * (status.f_bfree if os.geteuid() == 0 else status.f_bavail)
    if status.f_flag & os.ST_RDONLY:
        return DiskTrouble(place, errno.EROFS)
    limit = find_limit()
    if limit is not None and limit < needed_bytes:
        return DiskTrouble(place, errno.EFBIG)
    has_no_inode = status.f_files > 0 and status.f_favail == 0
    if free < needed_bytes or has_no_inode:
        return DiskTrouble(place, errno.ENOSPC, free)
    kind = _try_to_write(there)
    return None if kind is None else DiskTrouble(place, kind, free)


def name_trouble(error: BaseException, folder: Path) -> DiskTrouble | None:
    """Say which trouble of the disk an error comes from, None where from none.

    Args:
        error: What was raised; its causes are looked at too.
        folder: Where was written, if the error does not say.
    """
    for each in _trace(error):
        if isinstance(each, OSError) and each.errno in KINDS:
            named = Path(each.filename).parent if isinstance(each.filename, str) else folder
            place = folder if named.is_relative_to(folder) else named
            found = find_trouble(place)
            same = found is not None and found.kind == each.errno
            return found if same else DiskTrouble(name_place(place), each.errno)
    return None


def name_place(folder: Path) -> str:
    """Return how a folder is called in a sentence."""
    return f"the folder {str(folder)!r}"


def _trace(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _find_existing(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _try_to_write(folder: Path) -> int | None:
    """Write a little, for quotas stand in no table; return what kept us, None where nothing did."""
    probe = folder / f".bpsweep-room-{secrets.token_hex(8)}"
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, bytes(PROBE_BYTES))
        finally:
            os.close(handle)  # a quota of a network's disk may speak only here
    except OSError as error:
        return error.errno if error.errno in KINDS else None
    finally:
        with suppress(OSError):
            probe.unlink()
    return None


def find_limit() -> int | None:
    """Return how long a file of this process may be, None without a limit."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if limit == resource.RLIM_INFINITY else limit


def _show_limit() -> str:
    limit = find_limit()
    return "its limit" if limit is None else f"{limit / 1e6:.1f} MB"
