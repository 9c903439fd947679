"""The configurations of a sweep, handed out by W&B to this process, several at once if asked.

W&B gives an agent one run at a time, so each run that is open here has an agent of its own at the
server, registered once and used again for the next run.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wandb.apis.public.sweeps import _register_agent
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from bpsweep.agent.errors import TrackingError
from bpsweep.agent.tracking.address import is_loopback, server_url, wait_for_server
from bpsweep.agent.tracking.api import open_api
from bpsweep.agent.tracking.room import ROOM
from bpsweep.agent.tracking.trouble import TROUBLE, renew_service, service_needed

BEAT_S = 5.0
"""How often the stock agent reports the runs it works on."""
IDLE_LOCAL_S, IDLE_S = 0.5, 5.0
"""How often a worker without work asks again: its own machine's server, and any other."""
NOT_FOUND = 404
_HEARTBEAT = """
mutation Heartbeat($id: ID!, $metrics: JSONString, $runState: JSONString) {
    agentHeartbeat(input: {id: $id, metrics: $metrics, runState: $runState}) {
        agent { id }
        commands
    }
}"""
"""The client's own function sends the same, and hides whether server or service do not answer."""
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
        self._idle_s = IDLE_LOCAL_S if is_loopback(server_url()) else IDLE_S
        self._agents: dict[str, str] = {}  # by open run
        self._free: list[str] = []  # agents without a run
        self._stops: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._beat_on, name="heartbeat", daemon=True).start()

    def _connect(self, is_leaving: Callable[[], bool] = bool) -> None:
        wait_for_server(is_leaving)
        try:
            with service_needed():
                self._api = open_api(30)
        except (*TROUBLE, ValueError) as error:
            raise TrackingError(f"the W&B server {server_url()} refuses us: {error}") from error

    def take(self, is_leaving: Callable[[], bool] = bool, *, wait: bool = True) -> Job | None:
        """Return a run to work on; None where the sweep has none left, or none now.

        Args:
            is_leaving: Asked while it waits; once true, it waits no longer.
            wait: Whether to wait while there is none now, but may be later: the sweep is paused,
                runs of others may have to be run again, or the server does not answer.

        Raises:
            TrackingError: The server takes no further agent.
        """
        agent = self._free.pop() if self._free else self._register()
        while True:
            for command in self._ask(agent, {}):
                if command["type"] in ("run", "resume"):
                    with self._lock:
                        self._agents[command["run_id"]] = agent
                    values = {name: entry["value"] for name, entry in command["args"].items()}
                    return Job(command["run_id"], values)
                if command["type"] == "exit":
                    wait = False
            if not wait or is_leaving():
                self._free.append(agent)
                return None
            time.sleep(self._idle_s)

    def obey(self, job: Job, stop: Callable[[], None]) -> None:
        """Have `stop` called when the server tells this run to stop."""
        self._stops[job.run_id] = stop

    def give_back(self, job: Job) -> None:
        """Report a run no longer: it has ended, and its agent is free for the next."""
        with self._lock:
            self._free.append(self._agents.pop(job.run_id))
            self._stops.pop(job.run_id, None)

    def reconnect(self, is_leaving: Callable[[], bool] = bool) -> None:
        """Start the client's service anew, and wait for the server; no run may be open.

        Raises:
            TrackingError: The server answers, and refuses us.
        """
        renew_service()
        self._connect(is_leaving)

    def close(self) -> None:
        """Report no longer."""
        self._closed.set()

    def _register(self) -> str:
        try:
            made = _register_agent(
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
        return str(made["id"])

    def _ask(self, agent: str, run_states: dict[str, bool]) -> list[dict[str, Any]]:
        """Report an agent's run; a server that does not answer has nothing to say.

        Raises:
            ClientServiceError: The client's service has died.
        """
        told = {"id": agent, "metrics": "{}", "runState": json.dumps(run_states)}
        try:
            with service_needed():
                answer: dict[str, Any] = self._api._service_api.execute_graphql(
                    _HEARTBEAT, variables=told, timeout=60
                )
        except WandbApiFailedError as error:
            if error.response is not None and error.response.http_status == NOT_FOUND:
                # Deleted: what runs may end, nothing more is begun.
                return [] if run_states else [{"type": "exit"}]
            return []
        return list(json.loads(answer["agentHeartbeat"]["commands"]))

    def _beat_on(self) -> None:
        while not self._closed.wait(BEAT_S):
            if ROOM.find_server_trouble() is not None:
                continue  # it would be refused, and ends no silent run meanwhile
            with self._lock:
                agents = dict(self._agents)
            for run_id, agent in agents.items():
                told: set[str] = set()
                with contextlib.suppress(*TROUBLE, TrackingError):  # the run's own thread says so
                    told = {command["type"] for command in self._ask(agent, {run_id: True})}
                if told & {"stop", "exit"} and (stop := self._stops.get(run_id)):
                    stop()
