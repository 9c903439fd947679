"""Calls of what only our own server can do, over its small JSON interface."""

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import quote

from bpsweep.agent.errors import ServerError
from bpsweep.agent.sweep.local_server import ServerAddress
from bpsweep.agent.tracking.address import ask
from bpsweep.agent.tracking.proof import describe_stranger, is_proven

TIMEOUT_S = 120.0


def retry_sweep(
    server: ServerAddress, path: str, *, abandoned: bool = False, only_interrupted: bool = False
) -> dict[str, Any]:
    """Have the server hand out again what ended without finishing.

    Args:
        server: The server.
        path: "entity/project/id", or the id alone.
        abandoned: No agent of the sweep lives: what seems to run counts as ended.
        only_interrupted: Leave what failed, and what a user stopped, as it is.

    Returns:
        "retried", for each new run its name, whose place it takes and why, and the sweep's "state".

    Raises:
        ServerError: There is no such sweep, or the server is not ours.
    """
    body = json.dumps({"abandoned": abandoned, "only_interrupted": only_interrupted}).encode()
    return _call(server, f"{_name_sweep(server, path)}/retry", body)


def replay_sweep(server: ServerAddress, path: str) -> dict[str, Any]:
    """Have the server compute a sweep's suggestions and stops again from its record.

    Returns:
        How many "suggestions" and "stops" there are, the "seed", and the "differences".

    Raises:
        ServerError: There is no such sweep, or the server is not ours.
    """
    return _call(server, f"{_name_sweep(server, path)}/replay", None)


def _name_sweep(server: ServerAddress, path: str) -> str:
    parts = path.strip("/").split("/")
    defaults = [
        server.environment.get("WANDB_ENTITY", "bpsweep"),
        server.environment.get("WANDB_PROJECT", "bpsweep"),
    ]
    named = [*defaults[: 3 - len(parts)], *parts]
    if len(named) != 3 or not all(named):
        raise ServerError(
            f"a sweep is named entity/project/id, project/id or by its id alone, got {path!r}"
        )
    return "/".join(quote(part, safe="") for part in named)


def _call(server: ServerAddress, path: str, body: bytes | None) -> dict[str, Any]:
    key = server.environment["WANDB_API_KEY"]
    _require_proof(server, key)
    request = urllib.request.Request(  # noqa: S310  # the address of a W&B server
        f"{server.url}/api/sweeps/{path}",
        data=body,
        headers={"Authorization": "Basic " + b64encode(f"api:{key}".encode()).decode()},
    )
    try:
        with ask(request, TIMEOUT_S) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except urllib.error.HTTPError as error:
        said = _read_error(error)
        if said is None:
            raise ServerError(
                f"the server at {server.url} is not bpsweep's own (it answered {error.code}): only"
                " `bpsweep serve` retries and replays sweeps. Unset WANDB_BASE_URL and"
                " WANDB_API_KEY to use the store of this machine."
            ) from error
        raise ServerError(f"{server.url} says: {said}") from error
    except (OSError, ValueError) as error:
        raise ServerError(f"{server.url} gave no answer that can be read: {error}") from error


def _require_proof(server: ServerAddress, key: str) -> None:
    """Make sure that the embedded server is still what listens at its address.

    Raises:
        ServerError: Nothing does, or another program.
    """
    try:
        if not server.embedded or is_proven(server.url, key):
            return
    except OSError as error:
        raise ServerError(f"{server.url} gave no answer that can be read: {error}") from error
    raise ServerError(describe_stranger(server.url))


def _read_error(error: urllib.error.HTTPError) -> str | None:
    """Return what our server says is wrong, None if the answer is not of its shape."""
    try:
        answer = json.loads(error.read())
        return str(answer["error"]) if answer["errors"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
