"""What the wandb client loads only when it is first used."""

import contextlib


def load_late_parts() -> None:
    """Load it now: processes that are forks of this one share it, and need not wait for it."""
    import requests  # noqa: F401, PLC0415
    import wandb.apis.public  # noqa: PLC0415

    with contextlib.suppress(ImportError):  # another version of the client may do without
        import opentelemetry.exporter.otlp.proto.http.metric_exporter  # noqa: PLC0415
        import opentelemetry.sdk._logs.export  # noqa: F401, PLC0415
        import wandb.sdk.data_types.image  # noqa: F401, PLC0415
