"""One training as it goes: its epochs, and what its next one goes on from.

A folder of files, each written whole: `epoch-0007` holds what epoch 7 gave, with the weights where
it was the best so far, and `state-0007` what epoch 8 goes on from. The newest state replaces the
one before it. Two processes that train the same write the same numbers, so they cannot disturb
each other; the lock only spares the second one the work.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent.trajectory.arrays import Arrays, BrokenFileError, read_arrays, write_arrays

ABOUT, LOCK = "about.json", "lock"
STALE_S = 600.0
"""A file that is being written is renamed long before: an older one has been left."""
_WEIGHTS = "weights/"
_STATE = re.compile(r"state-(\d+)\.safetensors")


@dataclass(frozen=True)
class KeptEpoch:
    """What an epoch gave.

    Args:
        number: From 1.
        values: Its metrics by name.
        probabilities: (N, L) float32 over the validation part.
        weights: Those after it, where it was the best so far; else None.
        origin: Which run trained it, on which machine, by how many threads.
    """

    number: int
    values: Mapping[str, float]
    probabilities: NDArray[np.float32]
    weights: Mapping[str, NDArray[np.float32]] | None
    origin: Mapping[str, Any]


class Trajectory:
    """The files of one training.

    Args:
        folder: Where they lie; it is made by the first one that is written.
        about: All that decides the numbers, written beside them for people.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self._about = about
        self._lock: IO[str] | None = None
        with suppress(OSError):
            os.utime(folder)  # it is in use: the oldest go first

    def read_epoch(self, number: int) -> KeptEpoch | None:
        """Return an epoch; None where it is not kept, or not whole."""
        try:
            arrays, about = read_arrays(self._epoch(number))
            probabilities = arrays.pop("probabilities")
            weights = {name.removeprefix(_WEIGHTS): one for name, one in arrays.items()}
            return KeptEpoch(
                number, about["values"], probabilities, weights or None, about["origin"]
            )
        except (BrokenFileError, KeyError):
            return None

    def read_state(self, last: int) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """Return the newest state up to the end of epoch `last` that is whole, and its epoch."""
        for number in sorted(self._list_states(), reverse=True):
            if number > last:
                continue
            with suppress(BrokenFileError):
                arrays, _ = read_arrays(self._state(number))
                return number, arrays
        return None

    def write_epoch(self, epoch: KeptEpoch) -> int:
        """Keep an epoch; return the bytes written.

        Raises:
            OSError: They cannot be written; what was kept is as it was.
        """
        self._make_folder()
        arrays: dict[str, NDArray[Any]] = {"probabilities": epoch.probabilities}
        for name, array in (epoch.weights or {}).items():
            arrays[_WEIGHTS + name] = array
        about = {"values": dict(epoch.values), "origin": dict(epoch.origin)}
        return write_arrays(self._epoch(epoch.number), arrays, about)

    def write_state(self, number: int, state: Arrays) -> int:
        """Keep what goes on after an epoch, in place of all before; return the bytes written.

        Raises:
            OSError: It cannot be written; what was kept is as it was.
        """
        n_bytes = write_arrays(self._state(number), state, {"epoch": number})
        for earlier in self._list_states():
            if earlier < number:
                self._state(earlier).unlink(missing_ok=True)
        return n_bytes

    def try_lock(self) -> bool:
        """Take this training for this process, unless another one is at it."""
        try:
            self._make_folder()
            file = (self.folder / LOCK).open("a")
        except OSError:
            return True  # nothing can be kept here, so nobody else can be at it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except OSError:
            file.close()
            return True  # a file system without locks: at worst both train the same
        self._lock = file
        self._clear_parts()
        return True

    def _clear_parts(self) -> None:
        """Remove what processes that were killed as they wrote have left."""
        for part in self.folder.glob(".*.part"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE_S:
                    part.unlink()

    def unlock(self) -> None:
        """Let others go on."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _make_folder(self) -> None:
        if (self.folder / ABOUT).exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{ABOUT}.{os.getpid()}.part"
        part.write_text(json.dumps(self._about, indent=2) + "\n", encoding="utf-8")
        part.replace(self.folder / ABOUT)

    def _epoch(self, number: int) -> Path:
        return self.folder / f"epoch-{number:04}.safetensors"

    def _state(self, number: int) -> Path:
        return self.folder / f"state-{number:04}.safetensors"

    def _list_states(self) -> list[int]:
        with suppress(OSError):
            found = [_STATE.fullmatch(path.name) for path in self.folder.iterdir()]
            return [int(match.group(1)) for match in found if match]
        return []
