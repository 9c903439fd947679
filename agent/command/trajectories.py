"""`bpsweep trajectories`: the trainings that are kept, and how to be rid of them."""

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bpsweep.agent.trajectory.store import (
    LIMIT,
    SWITCH,
    KeptTraining,
    TrajectoryStore,
    find_folder,
    read_limit_gb,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Kept trainings: every epoch that was trained is there for runs that need it again.",
)
SHOWN = ("model", "task", "subset", "split", "image_size", "batch_size", "learning_rate", "seed")
N_SHOWN = 30


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print all of them as JSON.")] = False,
) -> None:
    """List the kept trainings, those used last first."""
    store = TrajectoryStore(find_folder(), read_limit_gb() * 1e9)
    kept = store.list_kept()
    if as_json:
        typer.echo(json.dumps([_describe(one) for one in kept], indent=2))
        return
    console = Console()
    if kept:
        console.print(_draw(kept[:N_SHOWN]))
    if len(kept) > N_SHOWN:
        console.print(f"and {len(kept) - N_SHOWN} older ones: --json lists them all.")
    console.print(describe_size(store, kept), highlight=False)


@app.command("clear")
def clear_command(
    keep_gb: Annotated[
        float,
        typer.Option("--keep-gb", min=0, help="How much to leave, of what was used last."),
    ] = 0.0,
) -> None:
    """Remove kept trainings; no result is lost, but epochs of further runs are trained again."""
    store = TrajectoryStore(find_folder(), read_limit_gb() * 1e9)
    removed = store.trim(keep_gb * 1e9)
    freed_mb = sum(one.n_bytes for one in removed) / 1e6
    kept = store.list_kept()
    typer.echo(f"{len(removed)} kept trainings removed, {freed_mb:.1f} MB.")
    typer.echo(describe_size(store, kept))


def describe_size(store: TrajectoryStore, kept: list[KeptTraining]) -> str:
    """Say how many trainings are kept, where, how large they are and may be."""
    n_bytes = sum(one.n_bytes for one in kept)
    size = f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
    n_epochs = sum(one.n_epochs for one in kept)
    return (
        f"{len(kept)} trainings of {n_epochs} epochs are kept in {store.folder}: "
        f"{size} of at most {store.max_bytes / 1e9:g} GB ({LIMIT}; {SWITCH}=0 keeps none)."
    )


def _draw(kept: list[KeptTraining]) -> Table:
    table = Table()
    settings = [one.about.get("settings", {}) for one in kept]
    names = [name for name in SHOWN if len({str(each.get(name)) for each in settings}) > 1]
    for name in ["used", "epochs", "MB", *(names or ["model"])]:
        table.add_column(name.replace("_", " "), justify="left" if name == "used" else "right")
    for one, each in zip(kept, settings, strict=True):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used_at))
        values = [str(each.get(name, "?")) for name in names or ["model"]]
        table.add_row(when, str(one.n_epochs), f"{one.n_bytes / 1e6:.1f}", *values)
    return table


def _describe(one: KeptTraining) -> dict[str, object]:
    return {
        "folder": str(one.folder),
        "epochs": one.n_epochs,
        "bytes": one.n_bytes,
        "used_at": one.used_at,
        **one.about,
    }
