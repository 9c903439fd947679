"""Whether the store's disk takes what is written: found out, noted, said once."""

import errno
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bpsweep.report.disk import DiskTrouble, find_limit, find_trouble, name_place, name_trouble
from bpsweep.server.errors import NoRoomError

logger = logging.getLogger(__name__)

_PAGE_BYTES = 64 << 10
"""The longest piece in which SQLite writes."""
_PRIMARY = 0xFF
"""The bits of SQLite's result codes that name the kind of error."""


class Disk:
    """The disk that a store lies on.

    Attributes:
        trouble: Why it cannot be written, None while it can.
    """

    def __init__(self, folder: Path) -> None:
        """Take a store's folder; nothing is looked at yet."""
        self._folder = folder
        self._has_refused = False
        self.trouble: DiskTrouble | None = None

    def look(self, try_to_write: Callable[[], None]) -> None:
        """Look whether there is trouble, or still is.

        Args:
            try_to_write: Writes to the store, and raises NoRoomError if that cannot be done. Asked
                where a write was refused, for the disk may look fine and refuse the next as well.
        """
        found = find_trouble(self._folder)
        if found is None and self._has_refused:
            try:
                try_to_write()
            except NoRoomError:
                return  # it has noted that itself
            self._has_refused = False
        self._note(found)

    def refuse(self, error: BaseException) -> NoRoomError | None:
        """Note an error if the disk is to blame; return what to raise instead, else None."""
        found = self._read(error)
        if found is None:
            return None
        self._has_refused = True
        self._note(found)
        return NoRoomError(f"{found} Until then nothing can be stored here.")

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn errors for which the disk is to blame into one with a sentence.

        Raises:
            NoRoomError: The disk takes nothing more.
        """
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            named = self.refuse(error)
            if named is None:
                raise
            raise named from error

    def _note(self, found: DiskTrouble | None) -> None:
        before, self.trouble = self.trouble, found
        if found is not None and (before is None or before.kind != found.kind):
            logger.warning("%s Runs wait until then.", found)
        elif before is not None and found is None:
            logger.warning("%s can be written again", name_place(self._folder))

    def _read(self, error: BaseException) -> DiskTrouble | None:
        if not isinstance(error, sqlite3.Error):
            return name_trouble(error, self._folder)
        place = name_place(self._folder)
        kind = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        if kind == sqlite3.SQLITE_FULL:
            found = find_trouble(self._folder)
            return found or DiskTrouble(place, errno.ENOSPC)
        if kind == sqlite3.SQLITE_READONLY:
            return DiskTrouble(place, errno.EROFS)
        if kind == sqlite3.SQLITE_IOERR or not kind:
            # SQLite does not say which error the system gave; ours has no code at all.
            found = find_trouble(self._folder)
            return found or (DiskTrouble(place, errno.EFBIG) if self._is_limited() else None)
        return None

    def _is_limited(self) -> bool:
        """Tell whether a file of the store has reached the file-size limit."""
        limit = find_limit()
        sizes = [path.stat().st_size for path in self._folder.glob("*.sqlite3*")]
        return limit is not None and max(sizes, default=0) + _PAGE_BYTES > limit
