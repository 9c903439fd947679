"""Sweeps' verdicts in the report's words, computed beside the server and not too often."""

import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bpsweep.server.board.watched import WatchedRuns
from bpsweep.server.store import Row

logger = logging.getLogger(__name__)

_PAUSE_S = 5.0
_PAUSE_FACTOR = 5.0
"""While a sweep is live, a fifth of one core at most goes into its verdict."""
_ANSWER_S = 300.0
_MAX_KEPT = 50


@dataclass
class _Kept:
    """A verdict, of which state of the sweep it is, and when the next may be asked for."""

    of: tuple[str, int] = ("", -1)
    answer: dict[str, Any] = field(default_factory=dict)
    next_at: float = 0.0


class Verdicts:
    """The verdicts of the sweeps that pages look at; one a server.

    A page never waits for a verdict: it gets the last one and is told whether that is current.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._kept: dict[int, _Kept] = {}
        self._asking = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False

    def read(self, sweep: Row, path: str, watched: WatchedRuns) -> dict[str, Any]:
        """Return the last verdict on a sweep, and let a newer one be computed if it is old."""
        kept = self._kept.setdefault(sweep["id"], _Kept())
        now = (watched.boot, watched.revision)
        is_due = kept.of != now and time.monotonic() >= kept.next_at
        if is_due and self._asking.acquire(blocking=False):
            work = threading.Thread(
                target=self._renew, args=(kept, sweep["id"], path, now), daemon=True
            )
            work.start()
        return {**kept.answer, "current": kept.of == now}

    def close(self) -> None:
        """End the process that computes, for good."""
        self._is_closed = True
        self._end_process()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _renew(self, kept: _Kept, number: int, path: str, now: tuple[str, int]) -> None:
        started = time.monotonic()
        try:
            kept.answer = self._ask({"sweep": number, "path": path})
            kept.of = now
        except (OSError, ValueError):
            if not self._is_closed:
                logger.exception("no verdict on sweep %s", path)
        finally:
            took_s = time.monotonic() - started
            kept.next_at = time.monotonic() + max(_PAUSE_S, _PAUSE_FACTOR * took_s)
            while len(self._kept) > _MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._asking.release()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.poll() is not None:
            self._end_process()
            command = [sys.executable, "-P", "-m", "bpsweep.server.board.judge", str(self._store)]
            process = self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        # One that hangs is ended, and reading from it with it.
        timer = threading.Timer(_ANSWER_S, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
        finally:
            timer.cancel()
        return answer
