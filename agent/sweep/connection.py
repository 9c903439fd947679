"""The server that a command works with: the one that the environment names, or one of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.sweep.local_server import ServerAddress, named_server, starting_server
from bpsweep.agent.tracking.variables import adopt, list_set_aside


def start_server(stack: ExitStack, console: Console) -> Callable[[], ServerAddress]:
    """Start the embedded server for the stack's length, unless the environment names a server.

    Returns:
        What waits until it answers and gives its address.

    Raises:
        ServerError: A server is named, and nothing answers there.
    """
    if (named := named_server(home.store_dir())) is not None:
        return lambda: named
    return stack.enter_context(
        starting_server(
            home.store_dir(), lambda line: console.print(line, highlight=False, soft_wrap=True)
        )
    )


def enter_server(
    stack: ExitStack, console: Console, wait: Callable[[], ServerAddress] | None = None
) -> ServerAddress:
    """Wait for the server, say where it is, and point the wandb client of this process at it.

    Args:
        stack: Ends a server started here.
        console: Where its address is told.
        wait: What `start_server` gave, if that was called before.

    Raises:
        ServerError: It does not start, or the one that is named does not answer.
    """
    server = (wait or start_server(stack, console))()
    where = f"Embedded server: {server.url} (this machine only)"
    named = f"W&B server: {server.url}"
    console.print(named if os.environ.get("WANDB_API_KEY") else where, soft_wrap=True)
    if server.embedded:
        for sentence in list_set_aside():
            console.print(sentence, highlight=False, soft_wrap=True)
    adopt(os.environ, server.environment)
    return server


@contextmanager
def open_server(console: Console) -> Iterator[ServerAddress]:
    """Give the server to work with, for the length of the block; see `enter_server`.

    Raises:
        ServerError: It does not start, or the one that is named does not answer.
    """
    with ExitStack() as stack:
        yield enter_server(stack, console)
