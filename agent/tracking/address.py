"""Which W&B server is spoken to."""

import os
from typing import Final

CLOUD_URL: Final = "https://api.wandb.ai"


def server_url() -> str:
    """Return the address of the W&B server in use."""
    return os.environ.get("WANDB_BASE_URL", CLOUD_URL)
