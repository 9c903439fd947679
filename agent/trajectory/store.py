"""All trainings that are kept: a folder of bounded size, in which the oldest go first."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bpsweep.agent import home
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.trajectory.trajectory import ABOUT, LOCK, Trajectory

SWITCH = "BPSWEEP_TRAJECTORIES"
"""The variable that, at 0, has nothing kept and nothing taken over."""
FOLDER = "BPSWEEP_TRAJECTORY_DIR"
"""The variable that names another folder, as one that several machines share."""
LIMIT = "BPSWEEP_TRAJECTORIES_GB"
"""The variable that says how large it may grow."""
DEFAULT_GB = 5.0
FORMAT = 1
"""Of the files; another one is another trajectory."""
SHARE_UNSEEN = 0.02
"""Of the limit that a process may write before it looks at the whole again."""


@dataclass(frozen=True)
class KeptTraining:
    """A training in the store, as people see it.

    Args:
        folder: Its folder.
        about: All that decides its numbers; empty where that cannot be read.
        n_epochs: Epochs kept.
        n_bytes: Its size on the disk.
        used_at: When it was last written or read, in seconds since 1970.
    """

    folder: Path
    about: Mapping[str, Any]
    n_epochs: int
    n_bytes: int
    used_at: float


class TrajectoryStore:
    """The kept trainings of this home.

    Args:
        folder: Where they lie.
        max_bytes: How large it may grow; what was not used for longest goes first.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._n_unseen: float = max_bytes  # the first one to write looks at the whole
        self.is_refused = False
        """Whether it was said that nothing can be written here."""

    def open(self, about: Mapping[str, Any]) -> Trajectory:
        """Return the trajectory of all trainings whose numbers are decided by the same.

        Args:
            about: All that decides them, as JSON.
        """
        text = json.dumps([FORMAT, about], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        return Trajectory(self.folder / digest, about)

    def list_kept(self) -> list[KeptTraining]:
        """Return what is kept, the last used first."""
        found = [_look_at(folder) for folder in self._list_folders()]
        return sorted(found, key=lambda one: one.used_at, reverse=True)

    def note_written(self, n_bytes: int) -> None:
        """Note what was written; now and then remove what is too much."""
        self._n_unseen += n_bytes
        if self._n_unseen > SHARE_UNSEEN * self.max_bytes:
            self._n_unseen = 0
            self.trim(self.max_bytes)

    def trim(self, max_bytes: float) -> list[KeptTraining]:
        """Remove trainings until no more than so many bytes are left; return those removed.

        What a process is at stays.
        """
        kept = self.list_kept()
        n_bytes = sum(one.n_bytes for one in kept)
        removed = []
        for one in reversed(kept):
            if n_bytes <= max_bytes:
                break
            if _remove(one.folder):
                n_bytes -= one.n_bytes
                removed.append(one)
        return removed

    def _list_folders(self) -> Iterator[Path]:
        with suppress(OSError):
            yield from (path for path in self.folder.iterdir() if path.is_dir())


def open_store() -> TrajectoryStore | None:
    """Return the store that the environment names; None where it is switched off.

    Raises:
        ConfigError: BPSWEEP_TRAJECTORIES_GB is no size.
    """
    if os.environ.get(SWITCH) == "0":
        return None
    return _open(find_folder(), read_limit_gb() * 1e9)


@cache
def _open(folder: Path, max_bytes: float) -> TrajectoryStore:
    """Return the same store to all runs of a process, for it counts what they write."""
    return TrajectoryStore(folder, max_bytes)


def find_folder() -> Path:
    """Return the folder of the store, whether it is there or not."""
    named = os.environ.get(FOLDER)
    return Path(named).expanduser() if named else home.home() / "trajectories"


def read_limit_gb() -> float:
    """Return how large the store may grow, in GB of 1e9 bytes.

    Raises:
        ConfigError: BPSWEEP_TRAJECTORIES_GB is no size.
    """
    text = os.environ.get(LIMIT) or str(DEFAULT_GB)
    try:
        limit_gb = float(text)
    except ValueError:
        limit_gb = -1.0
    if not 0 <= limit_gb < float("inf"):
        raise ConfigError(f"{LIMIT}={text!r} is no size in GB; take 5 or 0.5, or {SWITCH}=0.")
    return limit_gb


def _look_at(folder: Path) -> KeptTraining:
    n_bytes, n_epochs, used_at, about = 0, 0, 0.0, {}
    with suppress(OSError):
        used_at = folder.stat().st_mtime
        for entry in os.scandir(folder):
            with suppress(OSError):
                n_bytes += entry.stat().st_size
                n_epochs += entry.name.startswith("epoch-")
    with suppress(OSError, ValueError):
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return KeptTraining(
        folder, about if isinstance(about, dict) else {}, n_epochs, n_bytes, used_at
    )


def _remove(folder: Path) -> bool:
    """Remove a training that nobody is at; return whether it is gone."""
    with _try_lock(folder / LOCK) as is_free:
        if is_free:
            shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    try:
        file = path.open("a")
    except OSError:
        yield True  # a folder without a lock: nobody can be at it
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
