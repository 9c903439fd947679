"""`bpsweep agent` and `bpsweep doctor`: a warm worker, and what it would work with."""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent.doctor import describe, examine
from agent.entrance import enter_server

app = typer.Typer()


@app.command()
def agent(
    sweep: Annotated[
        str, typer.Argument(metavar="SWEEP", help="entity/project/id, or the id alone.")
    ],
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
    with ExitStack() as opened:
        enter_server(opened, Console())
        from agent.worker import run_worker  # noqa: PLC0415  # torch and wandb: seconds

        status = run_worker(sweep, count, stack)
    raise typer.Exit(status)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is installed, what trains here and how, and what keeps it from working."""
    findings = examine()
    if as_json:
        typer.echo(json.dumps(describe(findings), indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.name}: {finding.text}")
            if finding.problem is not None:
                typer.echo(f"  PROBLEM: {finding.problem}")
    raise typer.Exit(int(any(finding.problem for finding in findings)))
