"""The SQLite file: one writer, pooled readers, numbered migrations."""

import json
import queue
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bpsweep.report.identity import name_configuration
from bpsweep.server.disk import Disk
from bpsweep.server.errors import BadRequestError, ServerError, StoreError
from bpsweep.server.store.summary import pick_orderable, pick_value

Row = dict[str, Any]
Connection = sqlite3.Connection

MIGRATIONS = Path(__file__).parent.parent / "migrations"
# More than there are threads that answer requests: opening a connection takes a millisecond.
_MAX_IDLE_READERS = 64
# A commit waits for the disk; writers that queue up share one.
_MAX_BATCH = 32
# Pages in the write-ahead log at which a commit folds it into the file if nothing else does.
_MAX_LOG_PAGES = 16_000
MAX_MATCHED = 1_000


class _Batch:
    """Transactions that share one commit."""

    def __init__(self) -> None:
        self.size = 0
        self.error: sqlite3.Error | ServerError | None = None
        self.ended = threading.Event()

    def wait(self) -> None:
        """Return when the batch is on disk.

        Raises:
            NoRoomError, sqlite3.Error: It could not be written; nothing of it is stored.
        """
        self.ended.wait()
        if self.error is not None:
            raise type(self.error)(*self.error.args) from self.error


class Database:
    """A SQLite file in WAL mode.

    All writes go through one connection under a lock, each in one transaction that is on disk
    before the caller can answer; those that come at once are committed together. Reads use pooled
    connections that see the last commit.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        """Open the file, creating or migrating it.

        Args:
            path: The file.
            disk: Told when the disk takes nothing more.

        Raises:
            StoreError: The file cannot be opened, or is newer than this program.
        """
        self.path = path
        self._disk = disk or Disk(path.parent)
        self._write_lock = threading.Lock()
        self._owner: int | None = None  # the thread that holds the lock
        self._count_lock = threading.Lock()
        self._n_waiting = 0
        self._batch = _Batch()
        self._readers: queue.LifoQueue[Connection] = queue.LifoQueue(_MAX_IDLE_READERS)
        try:
            path.touch(mode=0o600)  # SQLite gives its other files the same rights
            self._writer = connect(path)
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {_MAX_LOG_PAGES}")
            migrate(self._writer)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot open the database {path}: {self._disk.refuse(error) or error}"
            ) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield the writing connection inside one transaction, on disk at the end.

        Raises:
            NoRoomError: The disk takes nothing more; nothing of the transaction is stored.
        """
        if self._owner == threading.get_ident():  # the caller already holds the transaction
            yield self._writer
            return
        with self._disk.refusals():
            with self._hold_writer() as batch, _savepoint(self._writer):
                yield self._writer
            batch.wait()

    @contextmanager
    def _hold_writer(self) -> Iterator[_Batch]:
        """Hold the writer inside an open batch; the last of those that queue up commits it."""
        with self._count_lock:
            self._n_waiting += 1
        self._write_lock.acquire()
        with self._count_lock:
            self._n_waiting -= 1
        self._owner = threading.get_ident()
        try:
            if not self._writer.in_transaction:
                self._writer.execute("BEGIN IMMEDIATE")
                self._batch = _Batch()
            batch = self._batch
            try:
                yield batch
            finally:
                batch.size += 1
                # SQLite itself ends a transaction that it cannot go on with, as on a full disk.
                lost = not self._writer.in_transaction
                if lost or not self._n_waiting or batch.size >= _MAX_BATCH:
                    self._commit(batch)
        finally:
            self._owner = None
            self._write_lock.release()

    def _commit(self, batch: _Batch) -> None:
        try:
            if not self._writer.in_transaction:
                raise sqlite3.OperationalError("the disk refused the transaction")
            self._writer.commit()
        except sqlite3.Error as error:
            batch.error = self._disk.refuse(error) or error
            self._writer.rollback()
        finally:
            batch.ended.set()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a reading connection that sees what is committed."""
        try:
            reader = self._readers.get_nowait()
        except queue.Empty:
            with self._disk.refusals():
                reader = connect(self.path)
                reader.execute("PRAGMA query_only = ON")
        try:
            yield reader
        finally:
            try:
                self._readers.put_nowait(reader)
            except queue.Full:
                reader.close()

    def fold_log(self) -> None:
        """Copy the write-ahead log into the file, beside the writer, so that no commit has to.

        Raises:
            NoRoomError: The disk takes nothing more; the log stays.
        """
        with self.read() as db, self._disk.refusals():
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def try_to_write(self) -> None:
        """Write to the file without changing what is in it.

        Raises:
            NoRoomError: The disk takes nothing.
        """
        with self.write() as db:
            version = db.execute("PRAGMA user_version").fetchone()["user_version"]
            db.execute(f"PRAGMA user_version = {int(version)}")

    def close(self) -> None:
        """Close every connection; the write-ahead log is folded into the file."""
        while not self._readers.empty():
            self._readers.get_nowait().close()
        with self._write_lock:
            self._writer.close()


@contextmanager
def _savepoint(db: Connection) -> Iterator[None]:
    """Undo what the block wrote, and nothing else, if it fails."""
    db.execute("SAVEPOINT member")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK TO member")
            db.execute("RELEASE member")
        raise
    db.execute("RELEASE member")


def connect(path: Path) -> Connection:
    """Return a connection with our settings and functions."""
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    db.row_factory = _make_row
    db.execute("PRAGMA foreign_keys = ON")
    # FULL: what was answered survives a power cut too, not only the end of this process.
    db.execute("PRAGMA synchronous = FULL")
    db.create_function("json_field", 2, _read_json_field, deterministic=True)
    db.create_function("json_order", 3, _read_json_order, deterministic=True)
    db.create_function("normalize_key", 1, _normalize_key, deterministic=True)
    db.create_function("text_matches", 2, _match_text, deterministic=True)
    return db


def migrate(db: Connection, folder: Path = MIGRATIONS) -> int:
    """Bring the file to the newest numbered migration and return its number.

    Raises:
        StoreError: The file was written by a newer version.
    """
    steps = {int(path.name.split("_")[0]): path for path in sorted(folder.glob("*.sql"))}
    current = int(db.execute("PRAGMA user_version").fetchone()["user_version"])
    if current > max(steps):
        raise StoreError(
            f"the database is at version {current}, this bpsweep knows versions up to"
            f" {max(steps)}: use the newer bpsweep that wrote it"
        )
    for number in sorted(step for step in steps if step > current):
        script = steps[number].read_text(encoding="utf-8")
        try:
            db.executescript(
                f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
            )
        except sqlite3.Error:
            if db.in_transaction:
                db.rollback()
            raise
    return max(steps)


def one(db: Connection, sql: str, *values: Any) -> Row | None:
    """Return the first row of a query, or None."""
    row: Row | None = _run(db, sql, values).fetchone()
    return row


def rows(db: Connection, sql: str, *values: Any) -> list[Row]:
    """Return all rows of a query."""
    found: list[Row] = _run(db, sql, values).fetchall()
    return found


def insert(db: Connection, table: str, **values: Any) -> int:
    """Insert one row and return its number; table and columns are never user input."""
    columns = ", ".join(values)
    marks = ", ".join("?" * len(values))
    sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
    number = _run(db, sql, tuple(values.values())).lastrowid
    assert number is not None
    return number


def update(db: Connection, table: str, number: int, **values: Any) -> None:
    """Set columns of the row with this id; table and columns are never user input."""
    assignments = ", ".join(f"{column} = ?" for column in values)
    sql = f"UPDATE {table} SET {assignments} WHERE id = ?"  # noqa: S608
    _run(db, sql, (*values.values(), number))


def run(db: Connection, sql: str, *values: Any) -> None:
    """Run a statement with values that may come from a request."""
    _run(db, sql, values)


def run_many(db: Connection, sql: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Run a statement once per record."""
    with _blame_request():
        db.executemany(sql, records)


def _run(db: Connection, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
    with _blame_request():
        return db.execute(sql, values)


@contextmanager
def _blame_request() -> Iterator[None]:
    """Turn what SQLite cannot hold into an error about the request it came with."""
    try:
        yield
    except OverflowError as error:
        raise BadRequestError("a number in the request has more than 64 bits") from error
    except UnicodeEncodeError as error:
        raise BadRequestError("a text in the request has half a surrogate pair") from error


def _make_row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _normalize_key(key: str) -> str:
    """Return a trial's config_key with its numbers in one form; what stands behind it stays."""
    end = key.rfind("}") + 1
    return name_configuration(json.loads(key[:end])) + key[end:]


def _match_text(pattern: str, text: Any) -> bool:
    try:
        return text is not None and re.search(pattern, str(text)[:MAX_MATCHED]) is not None
    except re.error:
        return False


def _read_json_field(text: str | None, path: str) -> Any:
    """Return one field of a JSON object for SQL; unlike SQLite's own it accepts NaN.

    The path is a JSON list of alternatives, each a list of keys; the first that leads anywhere
    wins, since a dot in W&B's names may be part of the name or lead into a nested object.
    """
    value = pick_value(_follow(text, path), largest=True)
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _read_json_order(text: str | None, path: str, largest: int) -> Any:
    """Return one field of a JSON object to sort by; the path is that of `_read_json_field`."""
    return pick_orderable(_follow(text, path), largest=bool(largest))


def _follow(text: str | None, path: str) -> Any:
    try:
        document = json.loads(text or "{}")
    except ValueError:
        return None
    for keys in json.loads(path):
        value = document
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None
