"""What the client raises when W&B, or its own service beside this process, does not do its part."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb.sdk.lib.service.service_token import WandbServiceConnectionError
from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

from bpsweep.agent.errors import ClientServiceError, TrackingError
from bpsweep.agent.tracking.address import PAUSE_S, server_url, wait_for_server
from bpsweep.agent.tracking.room import as_no_room

SERVICE_TROUBLE = (
    WandbServiceConnectionError,
    HandleAbandonedError,
    MailboxClosedError,
    ConnectionError,
)
MAX_REFUSALS = 5
"""How often a server that answers may refuse before it is believed."""
Answer = TypeVar("Answer")
TROUBLE = (wandb.errors.Error, WandbApiFailedError, *SERVICE_TROUBLE, OSError)


@contextmanager
def service_needed() -> Iterator[None]:
    """Name what has died where the client's service does not take what it is told.

    Raises:
        ClientServiceError: It has died.
    """
    try:
        yield
    except TROUBLE as error:
        if not _is_of_service(error):
            raise
        raise ClientServiceError(
            "wandb-core, the process in which the wandb client does its work, has died (killed, or "
            f"no memory left; {type(error).__name__}). It is started anew; the run that it carried "
            "counts as crashed, and its configuration comes back."
        ) from error


def _is_of_service(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is the client's service and not the server."""
    while error is not None:
        if isinstance(error, SERVICE_TROUBLE):
            return True
        error = error.__cause__
    return False


def renew_service() -> None:
    """End the client's service, dead or alive; the next call starts another. No run may be open."""
    with suppress(*TROUBLE):
        wandb.teardown()


def insist(call: Callable[[], Answer], is_leaving: Callable[[], bool] = bool) -> Answer:
    """Do what needs the server; while it does not answer, wait for it and do it again.

    Args:
        call: What to do; done twice it must be as good as once.
        is_leaving: Asked while we wait; once true, we wait no longer.

    Raises:
        ClientServiceError: The client's service has died.
        NoRoomError: A disk of ours takes nothing more.
        TrackingError: The server answers, and refuses `MAX_REFUSALS` times; or we are to leave.
    """
    refusal: Exception | None = None
    for _ in range(MAX_REFUSALS):
        wait_for_server(is_leaving)
        try:
            with service_needed():
                return call()
        except TROUBLE as error:
            if (no_room := as_no_room(error)) is not None:
                raise no_room from error
            refusal = error
            if is_leaving():
                break
        time.sleep(PAUSE_S)
    raise TrackingError(f"the W&B server {server_url()} does not do it: {refusal}") from refusal


def ask_service(question: Callable[[], Answer]) -> Answer:
    """Ask what changes nothing, and ask again by a new service where the client's has died.

    Raises:
        ClientServiceError: The new one has died too.
    """
    try:
        with service_needed():
            return question()
    except ClientServiceError:
        renew_service()
        with service_needed():
            return question()
