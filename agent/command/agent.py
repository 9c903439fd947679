"""`bpsweep agent`: a warm worker."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bpsweep.agent.command.options import Sweep
from bpsweep.agent.sweep.connection import open_server

app = typer.Typer()


@app.command()
def agent(
    sweep: Sweep,
    stack: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Take so many runs at once, as one network where that is faster.",
            show_default="1 on the CPU, 16 on a GPU",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Train so many runs at most.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with meta.csv and the TIFFs it names.")
    ] = None,
) -> None:
    """Train run after run of a sweep in one warm process; `wandb agent` starts one for each.

    Start as many as you like, here or on other machines. The runs share the cores of a machine;
    BPSWEEP_THREADS sets the threads of each, BPSWEEP_DEVICE=cpu leaves a GPU alone.
    """
    if data_dir is not None:
        os.environ["BPSWEEP_DATA_DIR"] = str(data_dir.resolve())
    with open_server(Console()):
        from bpsweep.agent.runs.worker import run_worker  # noqa: PLC0415  # torch and wandb: seconds

        status = run_worker(sweep, count, stack)
    raise typer.Exit(status)
