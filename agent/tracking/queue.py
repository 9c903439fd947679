"""The configurations of a sweep, handed out by W&B to this process, several at once if asked.

W&B gives an agent one run at a time, so each run that is open here has a seat: an agent of its
own, registered once and used again for the next run.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import wandb
from wandb.apis.public.sweeps import _agent_heartbeat, _register_agent
from wandb.sdk.sweeps import SweepNotFoundError

from bpsweep.agent.errors import TrackingError
from bpsweep.agent.tracking.address import server_url
from bpsweep.agent.tracking.trouble import TROUBLE

BEAT_S = 5.0
"""How often the stock agent reports the runs it works on."""
IDLE_LOCAL_S, IDLE_S = 0.5, 5.0
"""How often a worker without work asks again: its own machine's server, and any other."""
ORDERLY = ("grid", "random")
"""Search methods that suggest without looking at results."""


@dataclass(frozen=True)
class Job:
    """A run to work on: its id at W&B and the values chosen for it."""

    run_id: str
    values: Mapping[str, Any]


class SweepQueue:
    """Hands out the runs of one sweep, and reports the open ones so that their leases live.

    Args:
        path: "entity/project/sweep", "project/sweep", or the sweep's id alone.

    Raises:
        TrackingError: No such sweep, no key, or the server does not answer.
    """

    def __init__(self, path: str) -> None:
        self._connect()
        try:
            sweep = self._api.sweep(path)
        except (*TROUBLE, ValueError) as error:
            raise TrackingError(
                f"sweep {path!r} cannot be read from {server_url()}: {error} "
                "Give it as entity/project/id, as `wandb sweep` printed it."
            ) from error
        self.entity, self.project, self.sweep_id = str(sweep.entity), str(sweep.project), sweep.id
        self.is_orderly = sweep.config.get("method") in ORDERLY
        local = urlsplit(server_url()).hostname in ("127.0.0.1", "localhost", "::1")
        self._idle_s = IDLE_LOCAL_S if local else IDLE_S
        self._seats: dict[str, str] = {}  # the agent of every open run
        self._free: list[str] = []
        self._stops: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._beat_on, name="heartbeat", daemon=True).start()

    def _connect(self) -> None:
        self._api = wandb.Api(timeout=30)

    def take(self, is_leaving: Callable[[], bool] = bool, *, wait: bool = True) -> Job | None:
        """Return a run to work on; None where the sweep has none left, or none now.

        Args:
            is_leaving: Asked while it waits; once true, it waits no longer.
            wait: Whether to wait while there is none now, but may be later: the sweep is paused,
                runs of others may have to be run again, or the server does not answer.

        Raises:
            TrackingError: The server takes no further agent.
        """
        seat = self._free.pop() if self._free else self._register()
        while True:
            for command in self._ask(seat, {}):
                if command["type"] in ("run", "resume"):
                    with self._lock:
                        self._seats[command["run_id"]] = seat
                    values = {name: entry["value"] for name, entry in command["args"].items()}
                    return Job(command["run_id"], values)
                if command["type"] == "exit":
                    wait = False
            if not wait or is_leaving():
                self._free.append(seat)
                return None
            time.sleep(self._idle_s)

    def obey(self, job: Job, stop: Callable[[], None]) -> None:
        """Have `stop` called when the server tells this run to stop."""
        self._stops[job.run_id] = stop

    def give_back(self, job: Job) -> None:
        """Report a run no longer: it has ended, and its seat is free for the next."""
        with self._lock:
            self._free.append(self._seats.pop(job.run_id))
            self._stops.pop(job.run_id, None)

    def reconnect(self) -> None:
        """Start the client's service anew; no run may be open."""
        wandb.teardown()
        self._connect()

    def close(self) -> None:
        """Report no longer."""
        self._closed.set()

    def _register(self) -> str:
        try:
            agent = _register_agent(
                self._api,
                socket.gethostname(),
                sweep_id=self.sweep_id,
                project=self.project,
                entity=self.entity,
            )
        except (*TROUBLE, ValueError) as error:
            raise TrackingError(
                f"the W&B server {server_url()} takes no agent for sweep {self.sweep_id}: {error}"
            ) from error
        return str(agent["id"])

    def _ask(self, seat: str, run_states: dict[str, bool]) -> list[dict[str, Any]]:
        """Report a seat's run; a server that does not answer has nothing to say."""
        try:
            return list(_agent_heartbeat(self._api, seat, {}, run_states))
        except SweepNotFoundError:  # deleted: what runs may end, nothing more is begun
            return [] if run_states else [{"type": "exit"}]

    def _beat_on(self) -> None:
        while not self._closed.wait(BEAT_S):
            with self._lock:
                seats = dict(self._seats)
            for run_id, seat in seats.items():
                told = {command["type"] for command in self._ask(seat, {run_id: True})}
                if told & {"stop", "exit"} and (stop := self._stops.get(run_id)):
                    stop()
