"""`bpsweep report`, `controls`, `replicate`, `evaluate`, `compare`: what a sweep is worth."""

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from agent import home
from agent.agents import default_n_agents
from agent.errors import AgentError
from agent.local_server import ServerAddress, named_server, running_server
from data.errors import DataError
from report.compare import compare_models
from report.compare_table import (
    draw_comparison,
    explain_comparison,
    list_comparison,
    write_markdown,
)
from report.findings import Findings, examine, list_findings, tell
from report.html import Extras, write_html
from report.intervals import DEFAULT_LEVEL
from report.scores import ACCURACY
from report.table import draw_table, write_csv, write_json, write_latex
from report.verdict import Verdict, judge

if TYPE_CHECKING:  # these load wandb, torch and scikit-learn: seconds that a typo need not wait for
    import numpy as np
    from numpy.typing import NDArray

    from agent.controls import Plan
    from report.html_cells import CellPicture

app = typer.Typer()

Sweep = Annotated[str, typer.Argument(help="entity/project/id, or the id alone.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with meta.csv and the TIFFs it names: the one that the sweep was run on. "
        "By default BPSWEEP_DATA_DIR, else the embedded synthetic set."
    ),
]
Agents = Annotated[
    int | None, typer.Option(min=1, help="Runs at once. By default one a core, up to 4.")
]
Target = Annotated[
    float | None,
    typer.Option(help="Value to reach, a share. By default 0.8, for Hamming 0.2.", min=0, max=1),
]
MetricName = Annotated[str, typer.Option(help="accuracy, jaccard or hamming.")]
Level = Annotated[float, typer.Option(help="Confidence of the intervals.")]


def enter_server(stack: ExitStack, console: Console) -> ServerAddress:
    """Give the server that the environment names, else the embedded one for the block's length."""
    if (server := named_server(home.store_dir())) is not None:
        console.print(f"W&B server: {server.url}")
    else:
        server = stack.enter_context(running_server(home.store_dir()))
        console.print(f"Embedded server: {server.url} (this machine only)")
    os.environ.update(server.environment)
    return server


def judge_sweep(
    path: str, target: float | None, metric: str = ACCURACY.name, level: float = DEFAULT_LEVEL
) -> Verdict:
    """Read a sweep from the server and judge it."""
    from agent.tracking.sweeps import read_sweep  # noqa: PLC0415

    return judge(read_sweep(path), target, metric, level)


def print_findings(findings: Findings, console: Console) -> None:
    """Print the table of configurations and what is to be said of it."""
    console.print(draw_table(findings.verdict))
    for line in tell(findings):
        console.print(line, highlight=False)


@app.command()
def report(  # noqa: PLR0913, PLR0917  # one parameter an option
    sweep: Sweep,
    target: Target = None,
    metric: MetricName = ACCURACY.name,
    level: Level = DEFAULT_LEVEL,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write everything as one HTML page here.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything as JSON here.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write one line a configuration here.")
    ] = None,
    latex_file: Annotated[
        Path | None, typer.Option("--latex", help="Write the table for a paper here.")
    ] = None,
    compare_with: Annotated[
        list[str] | None,
        typer.Option("--compare", help="A sweep of the other model, for the HTML page."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Say which configurations of a sweep reach the target, with what confidence, and why."""
    console = Console()
    with ExitStack() as stack:
        enter_server(stack, console)
        findings = examine(judge_sweep(sweep, target, metric, level))
        print_findings(findings, console)
        page = None
        if html_file is not None:
            page = _write_page(findings, compare_with or [], home.data_dir(data_dir), console)
    verdict = findings.verdict
    _write_files(
        console,
        (html_file, page),
        (json_file, write_json(verdict, list_findings(findings))),
        (csv_file, write_csv(verdict)),
        (latex_file, write_latex(verdict)),
    )


def _write_files(console: Console, *pairs: tuple[Path | None, str | None]) -> None:
    """Write each text to its file, where one was named."""
    for file, text in pairs:
        if file is not None and text is not None:
            file.write_text(text, encoding="utf-8")
            console.print(f"Written: {file}", highlight=False)


def _write_page(findings: Findings, others: list[str], data_dir: Path, console: Console) -> str:
    from agent.tracking.sweeps import read_sweep  # noqa: PLC0415

    comparison = None
    if others:
        comparison = compare_models([findings.verdict.sweep, *map(read_sweep, others)])
    cells = _draw_cells(findings, data_dir, console)
    foci = _count_foci(findings, data_dir, console)
    return write_html(findings, Extras(cells, foci, comparison, datetime.now().astimezone()))


def _count_foci(findings: Findings, data_dir: Path, console: Console) -> "NDArray[np.int64] | None":
    """Count the foci of the winner's cells; a report without them is better than none."""
    from agent.foci import count_foci  # noqa: PLC0415

    winner = findings.verdict.best.run
    if winner.predictions is None:
        return None
    try:
        return count_foci(winner, data_dir)
    except (AgentError, DataError) as error:
        console.print(f"No foci counted: {error}", highlight=False)
        return None


def _draw_cells(findings: Findings, data_dir: Path, console: Console) -> "list[CellPicture]":
    """Draw cells of the winner; a report without them is better than none."""
    from agent.cells import draw_cells  # noqa: PLC0415
    from agent.tracking.weights import fetch_weights  # noqa: PLC0415

    verdict = findings.verdict
    try:
        weights = fetch_weights(verdict.sweep.path, verdict.best.run.id)
        return draw_cells(verdict.best.run, weights, data_dir)
    except (AgentError, DataError) as error:
        console.print(f"No pictures of cells: {error}", highlight=False)
        return []


@app.command()
def controls(  # one parameter an option
    sweep: Sweep,
    best: Annotated[int, typer.Option(min=1, help="Of so many configurations, from the best.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(help="background, nucleus, shuffled-labels, histogram, brightness, sham."),
    ] = None,
    agents: Agents = None,
    data_dir: DataDir = None,
    target: Target = None,
) -> None:
    """Run the controls of a sweep's best configuration: is its score the damage or the plate?

    Those that are there already are not run again; interrupted, the same command goes on.
    """
    console = Console()
    with ExitStack() as stack:
        enter_server(stack, console)
        command = f"bpsweep controls {sweep}"
        how = Beside(home.data_dir(data_dir), agents, command, console)
        run_controls(sweep, best, only or [], how)
        print_findings(examine(judge_sweep(sweep, target)), console)


@dataclass(frozen=True)
class Beside:
    """How runs beside a sweep are to be made.

    Args:
        data_dir: The image folder.
        n_agents: Runs at once; None for as many as suit the machine.
        command: What goes on with them after an interruption.
        console: Where progress is shown.
    """

    data_dir: Path
    n_agents: int | None
    command: str
    console: Console


def run_controls(sweep: str, n_best: int, only: list[str], how: Beside) -> None:
    """Run what is not there yet of the controls of the best configurations."""
    from agent.controls import Plan, check_names, plan_controls  # noqa: PLC0415
    from agent.replicate import choose_best  # noqa: PLC0415

    names = check_names(only)
    verdict = judge_sweep(sweep, None)
    plan = Plan()
    for row in choose_best(verdict, n_best):
        plan += plan_controls(verdict.sweep, row.run, names, how.data_dir)
    _carry_out(plan, verdict.sweep.path, "Controls", how)


def _carry_out(plan: "Plan", path: str, label: str, how: Beside) -> None:
    """Train the planned runs.

    Raises:
        typer.Exit: Interrupted; the command that goes on is printed.
    """
    from agent.beside import Worksite, train_beside  # noqa: PLC0415

    for reason in plan.skipped:
        how.console.print(f"[yellow]Skipped[/yellow] {reason}", highlight=False)
    there = f", {plan.n_there} there already" if plan.n_there else ""
    n_runs = len(plan.specs)
    how.console.print(f"{label} of sweep {path}: {n_runs} to run{there}.", highlight=False)
    environment = {
        **os.environ,
        "BPSWEEP_HOME": str(home.home()),
        "BPSWEEP_DATA_DIR": str(how.data_dir.resolve()),
        "WANDB_DIR": str(home.home()),
    }
    log_dir = home.home() / "logs" / path.replace("/", "-")
    site = Worksite(environment, log_dir, how.n_agents or default_n_agents(n_runs))
    try:
        n_finished = train_beside(plan.specs, site, how.console, label)
    except KeyboardInterrupt:
        how.console.print("Stopped. This goes on with what is left:")
        how.console.print(f"  {how.command}", highlight=False)
        raise typer.Exit(130) from None
    if n_finished < n_runs:
        how.console.print(
            f"[yellow]{n_runs - n_finished} of {n_runs} did not finish[/yellow]; what they said "
            f"is in {log_dir}. `{how.command}` runs them again.",
            highlight=False,
        )


@app.command()
def replicate(  # one parameter an option
    sweep: Sweep,
    top: Annotated[int, typer.Option(min=1, help="So many configurations, from the best.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds of each.")] = 4,
    agents: Agents = None,
    data_dir: DataDir = None,
    target: Target = None,
) -> None:
    """Train the best configurations again with fresh seeds, as runs of the same group.

    Those that are there already are not run again; interrupted, the same command goes on.
    """
    from agent.replicate import plan_replicates  # noqa: PLC0415

    console = Console()
    with ExitStack() as stack:
        enter_server(stack, console)
        verdict = judge_sweep(sweep, target)
        command = f"bpsweep replicate {sweep} --top {top} --seeds {seeds}"
        how = Beside(home.data_dir(data_dir), agents, command, console)
        plan = plan_replicates(verdict, top, seeds, how.data_dir)
        _carry_out(plan, verdict.sweep.path, "Replicates", how)
        print_findings(examine(judge_sweep(sweep, target)), console)


@app.command()
def evaluate(
    sweep: Sweep,
    again: Annotated[
        bool, typer.Option("--again", help="Though the test part has been used before.")
    ] = False,
    data_dir: DataDir = None,
    target: Target = None,
) -> None:
    """Measure the winner on the untouched test part, once, from the weights it kept."""
    from agent.evaluate import check_unused, evaluate_winner  # noqa: PLC0415
    from agent.tracking.weights import fetch_weights  # noqa: PLC0415

    console = Console()
    with ExitStack() as stack:
        enter_server(stack, console)
        verdict = judge_sweep(sweep, target)
        winner, record = verdict.best.run, verdict.sweep
        settings = check_unused(record, winner, again=again)
        weights = fetch_weights(record.path, winner.id)
        os.environ["WANDB_DIR"] = str(home.home())
        evaluate_winner(record, winner, settings, weights, home.data_dir(data_dir))
        print_findings(examine(judge_sweep(sweep, target)), console)


@app.command()
def compare(
    sweeps: Annotated[list[str], typer.Argument(help="Sweeps of LeNet-5 and of the MLP.")],
    level: Level = DEFAULT_LEVEL,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the tables as JSON here.")
    ] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the tables as Markdown here.")
    ] = None,
) -> None:
    """Set LeNet-5 against the MLP on the same cells: published configurations, and each's best."""
    from agent.tracking.sweeps import read_sweep  # noqa: PLC0415

    console = Console()
    with ExitStack() as stack:
        enter_server(stack, console)
        found = compare_models([read_sweep(path) for path in sweeps], level)
    for table in draw_comparison(found):
        console.print(table)
    for line in explain_comparison(found):
        console.print(line, highlight=False)
    document = json.dumps(list_comparison(found), indent=2, allow_nan=False) + "\n"
    _write_files(console, (json_file, document), (markdown_file, write_markdown(found)))
