"""The embedded server as a process of its own: found if it runs, started if not, ended again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bpsweep.agent.errors import ServerError
from bpsweep.agent.tracking.address import CLOUD_URL

START_TIMEOUT_S = 30.0
OWN_SETTINGS = ("--max-attempts", "3", "--lease-seconds", "30")
"""A server started for one sweep has its agents beside it: silence is death, and soon known."""


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
    """Return the embedded server that serves a store now, if one does."""
    try:
        found = json.loads((store / "server.json").read_text(encoding="utf-8"))
        key = (store / "api_key").read_text(encoding="utf-8").strip()
        url, entity = str(found["url"]), str(found["entity"])
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310  # our own http address
            answer.read()
    except (OSError, ValueError, KeyError, urllib.error.URLError):
        return None
    environment = {
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": key,
        "WANDB_ENTITY": entity,
        "WANDB_PROJECT": os.environ.get("WANDB_PROJECT", "bpsweep"),
    }
    return ServerAddress(url, environment, embedded=True)


@contextmanager
def running_server(store: Path) -> Iterator[ServerAddress]:
    """Give the embedded server of a store: the one that runs, else one started for this block.

    Raises:
        ServerError: It does not start; its last lines are in the message.
    """
    with starting_server(store) as wait:
        yield wait()


@contextmanager
def starting_server(store: Path) -> Iterator[Callable[[], ServerAddress]]:
    """Have the embedded server of a store run for this block; give what waits until it answers.

    One started here hands out again by itself what crashed, so that no configuration is lost.
    """
    if (found := find_server(store)) is not None:
        yield lambda: found
        return
    store.mkdir(parents=True, exist_ok=True)
    log_path = store / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            serve_command(store, *OWN_SETTINGS),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield lambda: _await_server(store, process, log_path)
    finally:
        _end(process)


def _await_server(store: Path, process: subprocess.Popen[bytes], log_path: Path) -> ServerAddress:
    """Wait until it answers.

    Raises:
        ServerError: It does not start; its last lines are in the message.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if (found := find_server(store)) is not None:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.1)
    last = log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    raise ServerError(
        f"the embedded server did not start on {str(store)!r} (exit status {process.poll()}): "
        + " / ".join(last)
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
    return ServerAddress(url, {"WANDB_BASE_URL": url, "WANDB_API_KEY": key}, embedded=False)


def _require_answer(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=10).close()  # noqa: S310  # the user's own setting
    except urllib.error.HTTPError:
        return  # it answers, if only to refuse
    except (OSError, ValueError) as error:
        raise ServerError(
            f"no W&B server answers at WANDB_BASE_URL={url!r}: {error}. Start it (`bpsweep serve` "
            "takes its last address again), or unset WANDB_BASE_URL and WANDB_API_KEY to have "
            "one started for you."
        ) from error
