"""The command line: `bpsweep`."""

import gc
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent import cli_agent, cli_data, cli_server, cli_verdict, home
from agent.agents import AgentGroup, default_n_agents
from agent.cli_verdict import Target
from agent.entrance import enter_server, start_server
from agent.errors import AgentError
from agent.interrupt import held_interrupts, take_sigterm_as_ctrl_c
from agent.local_server import serve_command
from data.errors import DataError
from report.errors import ReportError

# What a command needs is imported in it, and workers load before: see agent/cli_verdict.py.
# ruff: noqa: PLC0415

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="W&B sweeps for radiation-damage microscopy, with or without the internet.",
    epilog="First steps: `bpsweep run sweeps/quick.yaml`. Data and results live in BPSWEEP_HOME.",
)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_verdict.app)
app.add_typer(cli_server.app)
app.add_typer(cli_agent.app)

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with meta.csv and the TIFFs it names. "
        "By default BPSWEEP_DATA_DIR, else the embedded synthetic set."
    ),
]


@app.command()
def run(  # one parameter an option
    sweep_yaml: Annotated[Path, typer.Argument(help="The sweep, as sweeps/quick.yaml.")],
    agents: Annotated[
        int | None, typer.Option(min=1, help="Agents at once. By default one a core, up to 4.")
    ] = None,
    data_dir: DataDir = None,
    target: Target = None,
    max_rejected: Annotated[
        int | None, typer.Option(min=0, help="Unusable image files that may be left out.")
    ] = None,
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
    """
    console = Console()
    with ExitStack() as stack:
        group = stack.enter_context(AgentGroup())  # it loads while we prepare
        with held_interrupts():
            from agent.inputs import MAX_REJECTED
            from agent.sweepfile import read_sweep_file
            from agent.worksite import prepare_caches, prepare_data
        file = read_sweep_file(sweep_yaml)
        if max_rejected is not None:
            os.environ[MAX_REJECTED] = str(max_rejected)
        n_agents = agents or default_n_agents(file.n_runs)
        count = "runs without a set end" if file.n_runs is None else f"{file.n_runs} runs"
        method = file.config["method"]
        console.print(f"{sweep_yaml}: a {method} sweep of {count}, {n_agents} agents")
        folder = prepare_data(data_dir, console)
        prepare_caches(file, folder, console)
        wait_for_server = start_server(stack)  # it loads beside the wandb client, which follows
        stack.callback(group.stop)  # before the server ends: runs have yet to tell it their end
        with held_interrupts():
            from agent.sweep import SweepJob, begin_work, open_sweep, work_off
        server = enter_server(stack, console, wait_for_server)
        job = SweepJob(file, folder, server, n_agents)
        path, before = open_sweep(job, console)
        try:
            begin_work(job, path, group)
            with held_interrupts():
                from agent.judging import print_verdict  # while the workers load
            work_off(path, before, file.n_runs, group, console)
        except KeyboardInterrupt:
            console.print("Stopped. The same command goes on with what is left:")
            console.print(f"  bpsweep run {sweep_yaml}", highlight=False)
            raise typer.Exit(130) from None
        if with_controls:
            with held_interrupts():
                from agent.planned import Beside, run_controls
            how = Beside(folder, agents, f"bpsweep controls {path}", console)
            run_controls(path, 1, [], how)
        print_verdict(path, target, console)
    console.print(f"This table again: bpsweep report {path}", highlight=False)
    if server.embedded:
        console.print("The runs in a browser: bpsweep serve", highlight=False)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(context: typer.Context) -> None:
    """Run the embedded W&B server until Ctrl-C; prints what to export. See `serve --help`."""
    command = serve_command(home.store_dir(), *context.args)
    os.execv(command[0], command)  # noqa: S606  # becomes the server: signals go straight to it


def main() -> None:
    """Run the command line; errors a user can mend end it with status 2 and one message."""
    take_sigterm_as_ctrl_c()
    try:
        app()
    except (AgentError, DataError, ReportError) as error:
        print(f"bpsweep: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        gc.freeze()  # else Python searches all it holds for cycles before it ends: half a second


if __name__ == "__main__":
    main()
