"""What the client raises when W&B, or its own service beside this process, does not do its part."""

import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb.sdk.lib.service.service_token import WandbServiceConnectionError
from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

TROUBLE = (
    wandb.errors.Error,
    WandbApiFailedError,
    WandbServiceConnectionError,
    HandleAbandonedError,
    MailboxClosedError,
    OSError,
)
