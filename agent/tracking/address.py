"""Which W&B server is spoken to."""

import os

from agent.local_server import CLOUD_URL


def server_url() -> str:
    """Return the address of the W&B server in use."""
    return os.environ.get("WANDB_BASE_URL", CLOUD_URL)
