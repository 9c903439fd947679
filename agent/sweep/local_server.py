"""The embedded server as a process of its own: found if it runs, started if not, ended again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bpsweep.agent.errors import ServerError
from bpsweep.agent.presence import count_present, stay_present, take_turn
from bpsweep.agent.scratch import leave_scratch
from bpsweep.agent.tracking.address import CLOUD_URL, answers, ask
from bpsweep.agent.tracking.proof import MUST_PROVE, describe_stranger, is_proven
from bpsweep.agent.tracking.variables import CONFIG_DIR, hide_key, point_at_loopback
from bpsweep.report.disk import find_trouble

Tell = Callable[[str], None]
START_TIMEOUT_S = 30.0
OWN_SETTINGS = ("--max-attempts", "3", "--lease-seconds", "30", "--while-used")
"""A server started for one sweep has its agents beside it: silence is death, and soon known. It
ends by itself when the last command that uses it is gone, whatever ended that."""
WATCH_S = 0.5
MAX_QUICK_DEATHS = 3
"""How often in a row a server may die as soon as it has started, before it is given up."""
QUICK_S = 10.0


@dataclass(frozen=True)
class ServerAddress:
    """Where a W&B server is and how to get in.

    Args:
        url: Its address.
        environment: The variables that point the stock client at it.
        embedded: Whether it is ours.
    """

    url: str
    environment: Mapping[str, str]
    embedded: bool


def serve_command(store: Path, *arguments: str) -> list[str]:
    """Return the command that starts the embedded server on a store."""
    return [sys.executable, "-P", "-m", "bpsweep.server", "--store", str(store), *arguments]


def find_server(store: Path) -> ServerAddress | None:
    """Return the embedded server that serves a store now, if one does and proves to be it."""
    try:
        found = json.loads((store / "server.json").read_text(encoding="utf-8"))
        key = (store / "api_key").read_text(encoding="utf-8").strip()
        url, entity = str(found["url"]), str(found["entity"])
        if not is_proven(url, key):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    environment = {
        **point_at_loopback(),
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": key,
        MUST_PROVE: "1",
        CONFIG_DIR: str(store / "client"),
        "WANDB_ENTITY": entity,
        "WANDB_PROJECT": os.environ.get("WANDB_PROJECT", "bpsweep"),
    }
    return ServerAddress(url, environment, embedded=True)


@contextmanager
def running_server(store: Path, tell: Tell = print) -> Iterator[ServerAddress]:
    """Give the embedded server of a store: the one that runs, else one started for this block.

    Raises:
        ServerError: It does not start; its last lines are in the message.
    """
    with starting_server(store, tell) as wait:
        yield wait()


@contextmanager
def starting_server(store: Path, tell: Tell = print) -> Iterator[Callable[[], ServerAddress]]:
    """Have the embedded server of a store run for this block; give what waits until it answers.

    One that commands of ours have started is started again when it dies, and hands out again by
    itself what crashed, so that no configuration is lost. It ends with the last command that uses
    it. One that the user has started is left as it is.

    Args:
        store: The server's folder.
        tell: Told in a sentence when it was started again.
    """
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    with stay_present(users_folder(store)):
        keeper = _Keeper(store, tell)
        try:
            yield keeper.wait
        finally:
            keeper.close()


def users_folder(store: Path) -> Path:
    """Return the folder in which the processes that use a store's server are present."""
    return store / "users"


class _Keeper:
    """Starts the embedded server where none runs, and again where one of ours has died."""

    def __init__(self, store: Path, tell: Tell) -> None:
        self._store, self._tell = store, tell
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = time.monotonic()
        self._n_quick_deaths = 0
        self._is_closed = threading.Event()
        self._is_ours = True
        with take_turn(store / "start.lock"):
            if find_server(store) is None:
                self._start()
            else:
                self._is_ours = bool(_read_address(store).get("while_used"))
        if self._is_ours:
            threading.Thread(target=self._watch, name="watch of the server", daemon=True).start()

    def _start(self) -> None:
        with (self._store / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                serve_command(self._store, *OWN_SETTINGS),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=leave_scratch(dict(os.environ)),  # other commands may use it after this one
                start_new_session=True,
            )
        self._started_s = time.monotonic()

    def wait(self) -> ServerAddress:
        """Wait until it answers.

        Raises:
            ServerError: It does not start; its last lines are in the message.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if (found := find_server(self._store)) is not None:
                return found
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.1)
        self._is_closed.set()
        status = None if self._process is None else self._process.poll()
        raise ServerError(
            f"the embedded server did not start on {str(self._store)!r} (exit status {status}): "
            + (str(find_trouble(self._store) or "") or self._read_last_words())
            + self._describe_stranger()
        )

    def _read_last_words(self) -> str:
        lines = read_last_lines(self._store / "server.log")
        return hide_key(" / ".join(lines), _read_key(self._store))

    def _describe_stranger(self) -> str:
        """Say it where something answers at the address that the store remembers."""
        url = _read_address(self._store).get("url")
        return f"; {describe_stranger(url)}" if isinstance(url, str) and answers(url) else ""

    def _watch(self) -> None:
        while not self._is_closed.wait(WATCH_S):
            if self._is_alive() or find_trouble(self._store) is not None:
                continue  # on a disk without room it would only die again
            with take_turn(self._store / "start.lock"):
                if self._is_closed.is_set() or find_server(self._store) is not None:
                    continue  # another command was quicker
                is_quick = time.monotonic() - self._started_s < QUICK_S
                self._n_quick_deaths = self._n_quick_deaths + 1 if is_quick else 0
                if self._n_quick_deaths > MAX_QUICK_DEATHS:
                    self._tell(
                        "The embedded server dies as soon as it is started; it is not started "
                        f"again. It said last: {self._read_last_words()}"
                    )
                    return
                self._start()
            self._tell("The embedded server had died; it is started again.")

    def _is_alive(self) -> bool:
        """Tell whether the server's process lives, started here or by another command."""
        if self._process is not None and self._process.poll() is None:
            return True
        process_id = _read_address(self._store).get("pid")
        return isinstance(process_id, int) and _is_server(process_id)

    def close(self) -> None:
        """End a server started here; one that others use ends with the last of them."""
        self._is_closed.set()
        process = self._process
        if process is None or process.poll() is not None:
            return
        if count_present(users_folder(self._store)) <= 1:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_server(process_id: int) -> bool:
    try:
        process = psutil.Process(process_id)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return not is_dead and "bpsweep.server" in process.cmdline()
    except psutil.Error:
        return False


def read_last_lines(path: Path, n_lines: int = 5) -> list[str]:
    """Return the last lines of a log, without those that hold a key."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip() and "API_KEY" not in line][-n_lines:]


def _read_key(store: Path) -> str | None:
    try:
        return (store / "api_key").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def _read_address(store: Path) -> dict[str, Any]:
    try:
        found = json.loads((store / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def named_server(store: Path) -> ServerAddress | None:
    """Return the server that the environment names with a key: W&B's cloud, or any other.

    Args:
        store: The embedded server's store, to know its own address again.

    Raises:
        ServerError: A server is named, and nothing answers there.
    """
    key = os.environ.get("WANDB_API_KEY")
    if not key:
        return None
    url = os.environ.get("WANDB_BASE_URL", CLOUD_URL).rstrip("/")
    ours = find_server(store)
    if ours is not None and ours.url == url:
        return ours
    _require_answer(url)
    if key == _read_key(store) or url == _read_address(store).get("url"):
        # It was ours, and what answers there now has not proved that it still is.
        raise ServerError(describe_stranger(url))
    return ServerAddress(url, {"WANDB_BASE_URL": url, "WANDB_API_KEY": key}, embedded=False)


def _require_answer(url: str) -> None:
    try:
        ask(url, 10).close()
    except urllib.error.HTTPError:
        return  # it answers, if only to refuse
    except (OSError, ValueError) as error:
        raise ServerError(
            f"no W&B server answers at WANDB_BASE_URL={url!r}: {error}. Start it (`bpsweep serve` "
            "takes its last address again), or unset WANDB_BASE_URL and WANDB_API_KEY to have "
            "one started for you."
        ) from error
