"""Planned runs beside a sweep carried out for the command line: controls, replicates."""

import os
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.runs.agents import default_n_agents
from bpsweep.agent.runs.pool import PoolSettings, train_in_pool
from bpsweep.agent.verdict.controls import Plan, check_names, plan_controls
from bpsweep.agent.verdict.judge import judge_sweep
from bpsweep.agent.verdict.replicate import choose_best


@dataclass(frozen=True)
class ExtraRuns:
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


def run_controls(sweep: str, n_best: int, only: list[str], settings: ExtraRuns) -> None:
    """Run what is not there yet of the controls of the best configurations."""
    names = check_names(only)
    verdict = judge_sweep(sweep, None)
    plan = Plan()
    for row in choose_best(verdict, n_best):
        plan += plan_controls(verdict.sweep, row.run, names, settings.data_dir)
    carry_out(plan, verdict.sweep.path, "Controls", settings)


def carry_out(plan: Plan, path: str, label: str, settings: ExtraRuns) -> None:
    """Train the planned runs.

    Raises:
        typer.Exit: Interrupted; the command that goes on is printed.
    """
    for reason in plan.skipped:
        settings.console.print(f"[yellow]Skipped[/yellow] {reason}", highlight=False)
    there = f", {plan.n_there} there already" if plan.n_there else ""
    n_runs = len(plan.specs)
    settings.console.print(f"{label} of sweep {path}: {n_runs} to run{there}.", highlight=False)
    environment = {
        **os.environ,
        "BPSWEEP_HOME": str(home.home()),
        "BPSWEEP_DATA_DIR": str(settings.data_dir.resolve()),
        "WANDB_DIR": str(home.home()),
    }
    log_dir = home.home() / "logs" / path.replace("/", "-")
    pool = PoolSettings(environment, log_dir, settings.n_agents or default_n_agents(n_runs))
    try:
        n_finished = train_in_pool(plan.specs, pool, settings.console, label)
    except KeyboardInterrupt:
        settings.console.print("Stopped. This goes on with what is left:")
        settings.console.print(f"  {settings.command}", highlight=False)
        raise typer.Exit(130) from None
    if n_finished < n_runs:
        settings.console.print(
            f"[yellow]{n_runs - n_finished} of {n_runs} did not finish[/yellow]; what they said "
            f"is in {log_dir}. `{settings.command}` runs them again.",
            highlight=False,
        )
