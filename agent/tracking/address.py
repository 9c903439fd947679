"""Which W&B server is spoken to, and whether it answers."""

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from bpsweep.agent.tracking import proof

CLOUD_URL: Final = "https://api.wandb.ai"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PAUSE_S: Final = 1.0
ANSWER_S: Final = 10.0
"""How long an answer may take: a server that stands still is not there."""


def server_url() -> str:
    """Return the address of the W&B server in use."""
    return os.environ.get("WANDB_BASE_URL", CLOUD_URL)


def is_loopback(url: str) -> bool:
    """Tell whether an address is of this machine, which no proxy can reach."""
    return urlsplit(url).hostname in LOOPBACK


def ask(request: urllib.request.Request | str, timeout_s: float) -> http.client.HTTPResponse:
    """Send a request, to this machine never by way of a proxy.

    Raises:
        OSError: No answer, or one that refuses (urllib.error.HTTPError).
    """
    url = request if isinstance(request, str) else request.full_url
    proxies = urllib.request.ProxyHandler({} if is_loopback(url) else None)
    opened: http.client.HTTPResponse = urllib.request.build_opener(proxies).open(
        request, timeout=timeout_s
    )
    return opened


def answers(url: str, timeout_s: float = ANSWER_S) -> bool:
    """Tell whether a server answers, if only to refuse."""
    try:
        ask(url, timeout_s).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def wait_for_server(is_leaving: Callable[[], bool] = bool, timeout_s: float = float("inf")) -> bool:
    """Wait until the server in use answers; say once that we do.

    Args:
        is_leaving: Asked while we wait; once true, we wait no longer.
        timeout_s: The longest time to wait.

    Returns:
        Whether it answers.
    """
    if os.environ.get("WANDB_MODE", "online") != "online":
        return True  # the client keeps what it is told on disk, and needs no server
    url, until, is_told = server_url(), time.monotonic() + timeout_s, False
    while (is_stranger := proof.is_stranger(url)) or not answers(url):
        if is_leaving() or time.monotonic() >= until:
            return False
        if not is_told:
            if is_stranger:
                print(f"Waiting for our own server: {proof.describe_stranger(url)}.", flush=True)
            else:
                print(f"The W&B server {url} does not answer; waiting for it.", flush=True)
            is_told = True
        time.sleep(PAUSE_S)
    if is_told:
        print(f"The W&B server {url} answers again.", flush=True)
    return True
