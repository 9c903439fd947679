"""What a sweep is worth: `bpsweep report`, `controls`, `replicate`, `evaluate`, `dose`, ..."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.command.options import Agents, DataDir, Sweep, Target
from bpsweep.agent.sweep.connection import open_server
from bpsweep.agent.sweep.room_watch import watched_room
from bpsweep.report.statistics.scores import ACCURACY, DEFAULT_LEVEL

# What a command needs is imported in it: wandb, torch, scipy and scikit-learn take seconds, which
# `--help`, a typo, and a sweep that starts its workers need not wait for.
# ruff: noqa: PLC0415

app = typer.Typer()

MetricName = Annotated[str, typer.Option(help="accuracy, jaccard or hamming.")]
Level = Annotated[float, typer.Option(help="Confidence of the intervals.")]


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
    from bpsweep.agent.verdict.judge import judge_sweep, print_assessment, write_files
    from bpsweep.report.statistics.assessment import assess
    from bpsweep.report.text.summary import list_assessment
    from bpsweep.report.text.table import write_csv, write_json, write_latex

    console = Console()
    with open_server(console):
        assessment = assess(judge_sweep(sweep, target, metric, level))
        print_assessment(assessment, console)
        page = None
        if html_file is not None:
            from bpsweep.agent.verdict.html_page import write_page

            page = write_page(assessment, compare_with or [], home.data_dir(data_dir), console)
    verdict = assessment.verdict
    write_files(
        console,
        (html_file, page),
        (json_file, write_json(verdict, list_assessment(assessment))),
        (csv_file, write_csv(verdict)),
        (latex_file, write_latex(verdict)),
    )


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
    from bpsweep.agent.verdict.extra_runs import ExtraRuns, run_controls
    from bpsweep.agent.verdict.judge import print_verdict

    console = Console()
    with open_server(console), watched_room(console):
        command = f"bpsweep controls {sweep}"
        settings = ExtraRuns(home.data_dir(data_dir), agents, command, console)
        run_controls(sweep, best, only or [], settings)
        print_verdict(sweep, target, console)


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
    from bpsweep.agent.verdict.extra_runs import ExtraRuns, carry_out
    from bpsweep.agent.verdict.judge import judge_sweep, print_verdict
    from bpsweep.agent.verdict.replicate import plan_replicates

    console = Console()
    with open_server(console), watched_room(console):
        verdict = judge_sweep(sweep, target)
        command = f"bpsweep replicate {sweep} --top {top} --seeds {seeds}"
        settings = ExtraRuns(home.data_dir(data_dir), agents, command, console)
        plan = plan_replicates(verdict, top, seeds, settings.data_dir)
        carry_out(plan, verdict.sweep.path, "Replicates", settings)
        print_verdict(sweep, target, console)


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
    from bpsweep.agent.tracking.weights import fetch_weights
    from bpsweep.agent.verdict.evaluate import check_unused, evaluate_winner
    from bpsweep.agent.verdict.judge import judge_sweep, print_verdict

    console = Console()
    with open_server(console):
        verdict = judge_sweep(sweep, target)
        winner, record = verdict.best.run, verdict.sweep
        settings = check_unused(record, winner, again=again)
        weights = fetch_weights(record.path, winner.id)
        os.environ["WANDB_DIR"] = str(home.home())
        evaluate_winner(record, winner, settings, weights, home.data_dir(data_dir))
        print_verdict(sweep, target, console)


@app.command()
def dose(sweep: Sweep, data_dir: DataDir = None, target: Target = None) -> None:
    """Apply the winner, as trained, to plates of every dose: does its score rise with dose?

    Only plates that it was not trained on count. The page of `bpsweep report --html` draws every
    well.
    """
    from bpsweep.agent.verdict.dose import apply_to_doses
    from bpsweep.agent.verdict.judge import judge_sweep, print_verdict

    console = Console()
    with open_server(console):
        os.environ["WANDB_DIR"] = str(home.home())
        apply_to_doses(judge_sweep(sweep, target), home.data_dir(data_dir), console)
        print_verdict(sweep, target, console)


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
    from bpsweep.agent.tracking.sweeps import read_sweep
    from bpsweep.agent.verdict.judge import write_files
    from bpsweep.report.statistics.compare import compare_models
    from bpsweep.report.text.compare_table import (
        draw_comparison,
        explain_comparison,
        list_comparison,
        write_markdown,
    )

    console = Console()
    with open_server(console):
        found = compare_models([read_sweep(path) for path in sweeps], level)
    for table in draw_comparison(found):
        console.print(table)
    for line in explain_comparison(found):
        console.print(line, highlight=False)
    document = json.dumps(list_comparison(found), indent=2, allow_nan=False) + "\n"
    write_files(console, (json_file, document), (markdown_file, write_markdown(found)))
