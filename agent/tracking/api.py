"""W&B's public Api, without the line that the client says of its key each time."""

import contextlib
import io
import sys
from collections.abc import Iterator

import wandb

NOISE = "Loaded credentials"


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Pass on what the client says in a block, but for where it found the key."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            if NOISE not in line:
                print(line, file=sys.stderr)


def open_api(timeout_s: int) -> wandb.Api:
    """Open the Api.

    Raises:
        What the client raises, see `trouble`.
    """
    with without_noise():
        return wandb.Api(timeout=timeout_s)
