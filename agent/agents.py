"""Stock `wandb agent` processes: started with their share of the machine, ended with all theirs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

PATIENCE_S = 5.0
"""How long interrupted runs get to hand over what they have, before they are killed."""


class AgentGroup:
    """Some agents working on one sweep.

    Args:
        sweep_path: "entity/project/sweep".
        n_agents: How many.
        environment: Variables for the wandb client and for `python -m agent`.
        log_dir: Folder for one log file an agent.
    """

    def __init__(
        self, sweep_path: str, n_agents: int, environment: Mapping[str, str], log_dir: Path
    ) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        self.log_paths = [log_dir / f"agent-{i + 1}.log" for i in range(n_agents)]
        full = {**os.environ, **environment, **_share_machine(n_agents)}
        self._processes = [self._start(sweep_path, full, path) for path in self.log_paths]

    @staticmethod
    def _start(
        sweep_path: str, environment: Mapping[str, str], log_path: Path
    ) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "wandb", "agent", sweep_path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
            )

    @property
    def n_alive(self) -> int:
        """Number of agents that still work."""
        return sum(process.poll() is None for process in self._processes)

    def stop(self) -> None:
        """End agents, their runs and the client's helpers; kill what takes over PATIENCE_S."""
        family = [member for process in self._processes for member in _family(process.pid)]
        # An agent waits for its run at the first SIGINT and ends it with SIGTERM at the second.
        for _ in range(2):
            for process in self._processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
            time.sleep(0.3)
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
    return min(_count_cores(), 4, n_runs or 4)


def _count_cores() -> int:
    """Return the cores this process may use, which can be fewer than the machine has."""
    return len(psutil.Process().cpu_affinity()) if psutil.LINUX else (os.cpu_count() or 1)


def _share_machine(n_agents: int) -> dict[str, str]:
    """Give every agent its part of the cores, and this interpreter first on its PATH."""
    scripts = str(Path(sys.executable).parent)
    return {
        "OMP_NUM_THREADS": str(max(1, _count_cores() // n_agents)),
        "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
    }
