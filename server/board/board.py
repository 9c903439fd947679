"""The board: every set of runs that some page looks at, the least looked at forgotten first."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bpsweep.server import sweepfile
from bpsweep.server.board.verdicts import Verdicts
from bpsweep.server.board.watched import WatchedRuns
from bpsweep.server.store import Database, Row
from bpsweep.server.store.watch import Scope

_MAX_SETS = 12


class Board:
    """Hands out the followed runs of sweeps and projects; one a server."""

    def __init__(self, database: Database, store: Path) -> None:
        self.verdicts = Verdicts(store)
        self._database = database
        self._sets: dict[tuple[str, int, str | None, bool], WatchedRuns] = {}
        self._lock = threading.Lock()

    def watch_sweep(self, sweep: Row) -> WatchedRuns:
        """Return a sweep's runs, up to date."""
        metric, largest = read_metric(sweepfile.read_config(sweep["config"]))
        return self._watch("sweep_id", sweep["id"], metric, largest=largest)

    def watch_project(self, project: Row, metric: str | None, *, largest: bool) -> WatchedRuns:
        """Return a project's runs, up to date; their best is by this metric."""
        return self._watch("project_id", project["id"], metric, largest=largest)

    def watch_run(self, run: Row) -> WatchedRuns:
        """Return one run, up to date."""
        return self._watch("id", run["id"], None, largest=False)

    def close(self) -> None:
        """End what was started."""
        self.verdicts.close()

    def _watch(
        self, scope: Scope, number: int, metric: str | None, *, largest: bool
    ) -> WatchedRuns:
        key = scope, number, metric, largest
        with self._lock:
            if key not in self._sets:
                if len(self._sets) >= _MAX_SETS:
                    del self._sets[min(self._sets, key=lambda k: self._sets[k].used_at)]
                self._sets[key] = WatchedRuns(
                    self._database, scope, number, metric, largest=largest
                )
            found = self._sets[key]
        found.refresh()
        return found


def read_metric(config: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the name of a sweep's metric and whether more of it is better."""
    metric = config.get("metric") or {}
    return metric.get("name"), metric.get("goal", "minimize") == "maximize"
