"""Warm workers on one sweep, started through their foreman and ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from bpsweep.agent.tracking.variables import drop_inherited, hide_key
from bpsweep.data.folders import count_cpus

PATIENCE_S = 5.0
"""How long interrupted runs get to hand over what they have, before they are killed."""
TICK_S = 0.1
N_LAST_LINES = 12
"""Of each log that a message about workers that died repeats."""


@dataclass(frozen=True)
class Order:
    """What workers are to do.

    Args:
        sweep: "entity/project/sweep".
        environment: Variables for the wandb client and for the runs.
        log_paths: One log file for each worker.
        inputs: Settings of runs to come, whose inputs all workers are to have from the start.
        models: The models of runs to come, so that what they need is loaded once for all.
        n_stacked: How many runs each takes at once; None leaves it to the device.
    """

    sweep: str
    environment: Mapping[str, str]
    log_paths: Sequence[str]
    inputs: Sequence[Mapping[str, Any]] = ()
    models: Sequence[str] = ()
    n_stacked: int | None = None

    def write(self) -> bytes:
        """Return the order as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"


class AgentGroup:
    """Some workers on one sweep, started by `runs/foreman.py`, which loads while others prepare.

    Used as a context manager it leaves no process behind.
    """

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        drop_inherited(self._environment)
        self.log_paths: list[Path] = []
        self._key: str | None = None
        self._start()

    def _start(self) -> None:
        self._has_begun = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the foreman
        self._foreman = subprocess.Popen(
            [sys.executable, "-P", "-m", "bpsweep.agent.runs.foreman"],
            stdin=subprocess.PIPE,  # open as long as we live: it ends with us
            stderr=self._said,
            env=self._environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
        )

    @property
    def died(self) -> str | None:
        """Say how the foreman ended, if not in order; None where it did, or has not ended."""
        status = self._foreman.poll()
        if not status:
            return None
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def read_last_words(self) -> str:
        """Return the end of what foreman and workers said, for a message."""
        self._said.seek(0)
        texts = [self._said.read().decode(errors="replace")]
        texts += [path.read_text(errors="replace") for path in self.log_paths if path.exists()]
        lines = [line for text in texts for line in text.splitlines()[-N_LAST_LINES:]]
        return hide_key("\n".join(line for line in lines if line.strip()), self._key)

    def start_again(self) -> None:
        """End what is left of workers whose foreman has died, and start another one."""
        self.stop()
        self._said.close()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._said.close()

    def begin(self, order: Order) -> None:
        """Have a sweep worked on."""
        self.log_paths = [Path(path) for path in order.log_paths]
        self._key = order.environment.get("WANDB_API_KEY")
        assert self._foreman.stdin is not None
        self._has_begun = True
        with contextlib.suppress(BrokenPipeError):  # it has died: `died` says so
            self._foreman.stdin.write(order.write())
            self._foreman.stdin.flush()

    def wait(self, timeout_s: float) -> bool:
        """Wait for so long, or until no worker is left; return whether any is."""
        until = time.monotonic() + timeout_s
        while (alive := self._foreman.poll() is None) and time.monotonic() < until:
            time.sleep(TICK_S)
        return alive

    def stop(self) -> None:
        """End workers, their runs and the client's helpers; kill what takes over PATIENCE_S."""
        family = _family(self._foreman.pid)
        if self._foreman.poll() is None:
            self._foreman.send_signal(signal.SIGTERM if self._has_begun else signal.SIGKILL)
        psutil.wait_procs(family, timeout=PATIENCE_S)
        alive = {member for member in (*family, *_family(self._foreman.pid)) if member.is_running()}
        for member in alive:
            member.kill()
        psutil.wait_procs(alive, timeout=1)
        if self._foreman.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._foreman.stdin.close()
        self._foreman.wait()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def default_n_agents(n_runs: int | None) -> int:
    """Return how many agents suit this machine: one a core, at most four, none without work."""
    return min(count_cpus(), 4, n_runs or 4)
