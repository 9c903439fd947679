"""The command line: `bpsweep`."""

import gc
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from bpsweep.agent.command import agent, data, doctor, run, server, trajectories, verdict
from bpsweep.agent.errors import AgentError
from bpsweep.agent.home import named_home
from bpsweep.agent.interrupt import take_signals_as_ctrl_c
from bpsweep.agent.scratch import own_scratch
from bpsweep.data.errors import DataError
from bpsweep.report.disk import name_trouble
from bpsweep.report.errors import ReportError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="W&B sweeps for radiation-damage microscopy, with or without the internet.",
    epilog="First steps: `bpsweep run quick`. Data and results live in BPSWEEP_HOME.",
)
app.add_typer(run.app)
for each in (server, agent, verdict, doctor):
    app.add_typer(each.app)
app.add_typer(data.app, name="data")
app.add_typer(trajectories.app, name="trajectories")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bpsweep {version('bpsweep')}")
        raise typer.Exit


@app.callback()
def _take_options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors a user can mend end it with status 2 and one message."""
    take_signals_as_ctrl_c()
    try:
        with own_scratch():
            app()
    except (AgentError, DataError, ReportError) as error:
        print(f"bpsweep: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        trouble = name_trouble(error, named_home())
        if trouble is None:
            raise
        print(f"bpsweep: {trouble} Then the same command goes on.", file=sys.stderr)
        sys.exit(2)
    finally:
        gc.freeze()  # else Python searches all it holds for cycles before it ends: half a second


if __name__ == "__main__":
    main()
