"""`bpsweep run`: a sweep from its file to its verdict."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bpsweep.agent.command.options import Agents, DataDir, MaxRejected, Target
from bpsweep.agent.interrupt import held_interrupts
from bpsweep.agent.runs.agents import AgentGroup, default_n_agents
from bpsweep.agent.sweep.connection import enter_server, start_server
from bpsweep.agent.sweep.room_watch import watched_room
from bpsweep.agent.sweep.shipped import draw_shipped, find_sweep_file

if TYPE_CHECKING:
    from bpsweep.agent.sweep.file import SweepFile
    from bpsweep.agent.sweep.work import SweepJob

# What a command needs is imported in it, and workers load before: see command/verdict.py.
# ruff: noqa: PLC0415

app = typer.Typer()


@app.command()
def run(  # one parameter an option
    sweep_yaml: Annotated[
        str | None,
        typer.Argument(
            metavar="[SWEEP]",
            help="A sweep file, or the name of one that comes with bpsweep, as `quick`. "
            "Without one, these are listed.",
        ),
    ] = None,
    agents: Agents = None,
    data_dir: DataDir = None,
    target: Target = None,
    max_rejected: MaxRejected = None,
    with_controls: Annotated[
        bool,
        typer.Option(
            "--controls/--no-controls",
            help="Then ask by controls whether the best score is the damage or the plate.",
        ),
    ] = True,
) -> None:
    """Work off a sweep: data, cache, server, warm workers, verdict.

    Interrupt it at any time; the same command goes on where it was. Without WANDB_API_KEY the
    embedded server is used, and nothing leaves this machine.

    Examples: `bpsweep run quick`, `bpsweep run sweeps/lenet_single.yaml --data-dir ~/bps/train`.
    """
    console = Console()
    if sweep_yaml is None:
        console.print(draw_shipped())
        console.print("Work one off: bpsweep run NAME", highlight=False)
        return
    asked = _Asked(sweep_yaml, find_sweep_file(sweep_yaml), agents, data_dir, max_rejected)
    with ExitStack() as stack:
        job, path = _work_off(asked, stack, console)
        if with_controls:
            with held_interrupts():
                from bpsweep.agent.verdict.extra_runs import ExtraRuns, run_controls
            settings = ExtraRuns(job.data_dir, agents, f"bpsweep controls {path}", console)
            run_controls(path, 1, [], settings)
        with held_interrupts():
            from bpsweep.agent.sweep.work import note_sweep
            from bpsweep.agent.verdict.judge import print_verdict
        print_verdict(path, target, console)
        note_sweep(job, path, is_judged=True)
    console.print(f"This table again: bpsweep report {path}", highlight=False)
    if job.server.embedded:
        console.print("The runs in a browser: bpsweep serve", highlight=False)


@dataclass(frozen=True)
class _Asked:
    """What the user has asked for: the sweep by name and file, and the options of `run`."""

    name: str
    file: Path
    n_agents: int | None
    data_dir: Path | None
    max_rejected: int | None


def _work_off(asked: _Asked, stack: ExitStack, console: Console) -> "tuple[SweepJob, str]":
    """Prepare, start workers and server, have the sweep worked off; return it and its path."""
    room = stack.enter_context(watched_room(console))
    group = stack.enter_context(AgentGroup())  # it loads while we prepare
    with held_interrupts():
        from bpsweep.agent.sweep.file import read_sweep_file
        from bpsweep.agent.sweep.prepare import prepare_caches, prepare_data
        from bpsweep.agent.training.inputs import MAX_REJECTED
    if asked.max_rejected is not None:
        os.environ[MAX_REJECTED] = str(asked.max_rejected)
    file = read_sweep_file(asked.file)
    n_agents = asked.n_agents or default_n_agents(file.n_runs)
    console.print(f"{asked.name}: {_describe(file)}, {n_agents} agents", soft_wrap=True)
    folder = prepare_data(asked.data_dir, console)
    prepare_caches(file, folder, console)
    # It loads beside the wandb client, which follows.
    wait_for_server = start_server(stack, console)
    stack.callback(group.stop)  # before the server ends: runs have yet to tell it their end
    with held_interrupts():
        from bpsweep.agent.sweep.scheduling import run_scheduler
        from bpsweep.agent.sweep.work import SweepJob, WorkScene, begin_work, open_sweep, work_off
    server = enter_server(stack, console, wait_for_server)
    job = SweepJob(file, folder, server, n_agents)
    path, before = open_sweep(job, console)
    try:
        begin_work(job, path, group)
        with held_interrupts():
            import bpsweep.agent.verdict.judge  # noqa: F401  # while the workers load
        with run_scheduler(job, path, console, group.stop):
            work_off(job, path, before, WorkScene(group, console, room))
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on with what is left:")
        console.print(f"  bpsweep run {asked.name}", highlight=False)
        raise typer.Exit(130) from None
    return job, path


def _describe(file: "SweepFile") -> str:
    count = "runs without a set end" if file.n_runs is None else f"{file.n_runs} runs"
    return f"a {file.config['method']} sweep of {count}"
