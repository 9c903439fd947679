"""`bpsweep serve`, `retry`, `replay`: the embedded server, and what it can do with a sweep."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.command.options import Sweep
from bpsweep.agent.sweep.local_server import (
    ServerAddress,
    named_server,
    running_server,
    serve_command,
)
from bpsweep.agent.sweep.server_calls import replay_sweep, retry_sweep

app = typer.Typer()
EXIT_DIFFERS = 1


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(context: typer.Context) -> None:
    """Run the embedded W&B server until Ctrl-C; prints what to export. See `serve --help`."""
    command = serve_command(home.store_dir(), *context.args)
    os.execv(command[0], command)  # noqa: S606  # becomes the server: signals go straight to it


@app.command()
def retry(
    sweep: Sweep,
    abandoned: Annotated[
        bool,
        typer.Option(
            "--abandoned",
            help="No agent of the sweep lives any more: do not wait for the lease of runs that "
            "still count as running, try them again too.",
        ),
    ] = False,
) -> None:
    """Hand out again the configurations whose runs crashed, failed or were killed.

    Each gets a new run that names the old one; what finished stays as it is. Agents that are at
    work take them on; else start some: `wandb agent SWEEP`, or the `bpsweep run` of before.
    """
    console = Console(highlight=False)
    with _open_server() as server:
        answer = retry_sweep(server, sweep, abandoned=abandoned)
    retried = answer["retried"]
    if not retried:
        console.print(f"Nothing to try again; the sweep is {answer['state']}.")
        return
    console.print(f"{len(retried)} to try again; the sweep is {answer['state']}.")
    for new in retried:
        console.print(
            f"  {new['run']}  in place of {new['retry_of']}, which {_END[new['state']]}: "
            f"{_write_values(new['config'])}",
            soft_wrap=True,
        )


@app.command()
def replay(sweep: Sweep) -> None:
    """Compute a sweep's suggestions and stops again from its record, and say where they differ.

    The same seed and the same results give the same search. Ends with status 1 if they did not:
    the record was changed, or another version of the search engine is at work.
    """
    console = Console(highlight=False)
    with _open_server() as server:
        answer = replay_sweep(server, sweep)
    differences = answer["differences"]
    console.print(
        f"{answer['suggestions']} suggestions and {answer['stops']} stops computed again with seed"
        f" {answer['seed']}: {len(differences) or 'none'} differ{'s' * (len(differences) == 1)}."
    )
    for difference in differences:
        what = (
            f"suggestion {difference['suggestion']}"
            if "suggestion" in difference
            else f"the stop of run {difference['stop']}"
        )
        console.print(f"  {what}", soft_wrap=True)
        for side in ("recorded", "recomputed"):
            console.print(f"    {side:<10}  {_write_side(difference[side])}", soft_wrap=True)
    if differences:
        raise typer.Exit(EXIT_DIFFERS)


_END = {"crashed": "crashed", "failed": "failed", "killed": "was killed"}


@contextmanager
def _open_server() -> Iterator[ServerAddress]:
    """Give the server that the environment names, else the embedded one of this machine."""
    if (named := named_server(home.store_dir())) is not None:
        yield named
        return
    with running_server(home.store_dir()) as server:
        yield server


def _write_side(side: Any) -> str:
    """Return one side of a difference: a configuration, a stop's reason, or nothing."""
    if side is None:
        return "nothing"
    if isinstance(side, dict):
        return _write_values({name: entry.get("value") for name, entry in side.items()})
    return str(side)


def _write_values(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in config.items())
