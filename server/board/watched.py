"""The runs of one sweep or project, followed: each question costs what has changed since the last.

However many pages look at a sweep, its changes are read and written as text once; a page asks with
the revision it has and gets the rows that are newer.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from bpsweep.server.board.curves import RunCurves
from bpsweep.server.board.rows import describe_row
from bpsweep.server.store import Connection, Row
from bpsweep.server.store.watch import Scope, list_marks, list_watched, sum_up_runs

FRESH_S = 0.5
"""What was read so long ago is still good."""
ANSWER_S = 1.0
_MAX_ANSWERS = 40
_BATCH = 200
# A thousand runs read for the first time take half a second of Python: heartbeats go in between.
_WORK_S, _REST_S = 0.002, 0.0005


@dataclass
class Entry:
    """One run: its curves, its row, the row as JSON, and the revision at which they changed."""

    curves: RunCurves = field(default_factory=RunCurves)
    row: Row = field(default_factory=dict)
    text: str = "{}"
    revision: int = 0
    drawn: dict[tuple[str, str, int], str] = field(default_factory=dict)


class Store(Protocol):
    """What can be read from: the server's database, or another process's connection to it."""

    def read(self) -> AbstractContextManager[Connection]:
        """Yield a reading connection."""
        ...


class WatchedRuns:
    """The runs of a sweep or project as the pages see them."""

    def __init__(
        self, database: Store, scope: Scope, number: int, metric: str | None, *, largest: bool
    ) -> None:
        self._database = database
        self._scope: Scope = scope
        self._number = number
        self.metric, self.largest = metric, largest
        self.boot = secrets.token_hex(4)
        self.revision = 0
        self.entries: dict[int, Entry] = {}
        self.used_at = time.monotonic()
        self._marks: dict[int, tuple[float, int]] = {}
        self._sum: tuple[int, float, int] | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._answers: dict[tuple[Any, ...], tuple[float, bytes]] = {}
        self._answer_lock = threading.Lock()

    def refresh(self) -> None:
        """Read what has changed, unless that was done a moment ago."""
        self.used_at = time.monotonic()
        with self._lock:
            if time.monotonic() - self._read_at < FRESH_S:
                return
            with self._database.read() as db:
                sum_now = sum_up_runs(db, self._scope, self._number)
                if sum_now != self._sum:
                    self._read_changes(db)
                    self._sum = sum_now
            self._read_at = time.monotonic()

    def answer(self, question: tuple[Any, ...], make: Callable[[], bytes]) -> bytes:
        """Return the answer to a question that many pages ask, made once a second and revision."""
        key = (self.boot, self.revision, *question)
        with self._answer_lock:
            made_at, answer = self._answers.get(key, (0.0, b""))
            if not answer or time.monotonic() - made_at > ANSWER_S:
                answer = make()
                self._answers[key] = time.monotonic(), answer
                while len(self._answers) > _MAX_ANSWERS:
                    del self._answers[next(iter(self._answers))]
        return answer

    def _read_changes(self, db: Connection) -> None:
        marks = list_marks(db, self._scope, self._number)
        if self._marks.keys() - marks.keys():  # runs were deleted: everyone begins anew
            self.boot = secrets.token_hex(4)
            self.entries = {key: self.entries[key] for key in marks if key in self.entries}
        changed = [key for key, mark in marks.items() if self._marks.get(key) != mark]
        rested_at = time.monotonic()
        for first in range(0, len(changed), _BATCH):
            for run in list_watched(db, changed[first : first + _BATCH]):
                if time.monotonic() - rested_at > _WORK_S:
                    time.sleep(_REST_S)
                    rested_at = time.monotonic()
                entry = self.entries.setdefault(run["id"], Entry())
                entry.curves.update(db, run["id"])  # also where it begins anew with as many lines
                entry.drawn.clear()
                entry.row = describe_row(run, entry.curves, self.metric, largest=self.largest)
                entry.text = json.dumps(entry.row, separators=(",", ":"))
                entry.revision = self.revision + 1
        self.revision += bool(changed)
        self._marks = marks

    def write_rows(self, since: int) -> str:
        """Return the rows that are newer than a revision, as one JSON list, oldest run first."""
        with self._lock:
            return f"[{','.join(e.text for e in self.entries.values() if e.revision > since)}]"

    def write_curves(self, metric: str, axis: str, limit: int, since: int) -> str:
        """Return the curves of runs newer than a revision, as {"run": [[x...], [y...]]}."""
        with self._lock:
            parts = [
                f"{json.dumps(entry.row['id'])}:{_draw(entry, metric, axis, limit)}"
                for entry in self.entries.values()
                if entry.revision > since
            ]
        return "{" + ",".join(parts) + "}"

    def list_rows(self) -> list[Row]:
        """Return every row, oldest run first."""
        with self._lock:
            return [entry.row for entry in self.entries.values()]

    def list_metrics(self) -> list[str]:
        """Return every logged column that a curve can show."""
        with self._lock:
            return sorted({n for entry in self.entries.values() for n in entry.curves.names()})


def _draw(entry: Entry, metric: str, axis: str, limit: int) -> str:
    key = metric, axis, limit
    if key not in entry.drawn:
        x, y = entry.curves.read_series(metric, axis, limit)
        texts = (",".join(f"{value:.6g}" for value in values) for values in (x, y))
        entry.drawn[key] = "[[{}],[{}]]".format(*texts)
    return entry.drawn[key]
