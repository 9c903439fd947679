"""Warm workers on one sweep: started, ended, and replaced when one dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from data.folders import count_cpus

PATIENCE_S = 5.0
"""How long interrupted runs get to hand over what they have, before they are killed."""
MAX_RESTARTS = 3
"""How often a worker that was killed or has crashed is replaced."""
TICK_S = 0.1


class AgentGroup:
    """Some workers on one sweep, each a `bpsweep agent`.

    Args:
        sweep_path: "entity/project/sweep".
        n_agents: How many.
        environment: Variables for the wandb client and for the runs.
        log_dir: Folder for one log file a worker.
    """

    def __init__(
        self, sweep_path: str, n_agents: int, environment: Mapping[str, str], log_dir: Path
    ) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        self.log_paths = [log_dir / f"agent-{i + 1}.log" for i in range(n_agents)]
        self._command = [sys.executable, "-m", "agent.cli", "agent", sweep_path]
        self._environment = {**os.environ, **environment}
        # A client's service shared with others would keep a dead worker's run alive for them.
        self._environment.pop("WANDB_SERVICE", None)
        self._processes = [self._start(path) for path in self.log_paths]
        self._n_restarts = [0] * n_agents

    def _start(self, log_path: Path) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
            )

    def wait(self, timeout_s: float) -> bool:
        """Wait for so long, or until no worker is left; return whether any is."""
        until = time.monotonic() + timeout_s
        while (alive := self._tend() > 0) and time.monotonic() < until:
            time.sleep(TICK_S)
        return alive

    def _tend(self) -> int:
        """Replace workers that a signal ended (a crash, no memory left); return how many work."""
        for i, process in enumerate(self._processes):
            died = process.poll() is not None and process.returncode < 0
            if died and self._n_restarts[i] < MAX_RESTARTS:
                self._n_restarts[i] += 1
                self._processes[i] = self._start(self.log_paths[i])
        return sum(process.poll() is None for process in self._processes)

    def stop(self) -> None:
        """End workers, their runs and the client's helpers; kill what takes over PATIENCE_S."""
        family = [member for process in self._processes for member in _family(process.pid)]
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
        for member in alive:
            member.kill()
        psutil.wait_procs(alive, timeout=1)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def default_n_agents(n_runs: int | None) -> int:
    """Return how many agents suit this machine: one a core, at most four, none without work."""
    return min(count_cpus(), 4, n_runs or 4)
