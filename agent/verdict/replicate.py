"""Finalists trained again with fresh seeds: how much of a score is the draw of the weights."""

from collections.abc import Sequence
from pathlib import Path

from bpsweep.agent.config import RunConfig
from bpsweep.agent.verdict.controls import (
    SEED_LIMIT,
    Plan,
    check_data,
    make_spec,
    plan_run,
    read_settings,
)
from bpsweep.report.records import REPLICATE, RunRecord, SweepRecord
from bpsweep.report.statistics.verdict import Row, Verdict


def plan_replicates(verdict: Verdict, n_best: int, n_seeds: int, data_dir: Path) -> Plan:
    """List the replicates of the best configurations that are not there yet.

    Args:
        verdict: On the sweep, with the runs beside it.
        n_best: How many configurations, from the best.
        n_seeds: Fresh seeds of each.
        data_dir: The image folder, which must be the one that the runs were trained on.
    """
    plan = Plan()
    for run in (one for row in choose_best(verdict, n_best) for one in row.run.members):
        settings = read_settings(run)
        check_data(run, settings, data_dir)
        for seed in _draw_seeds(verdict.sweep, settings, n_seeds):
            values = settings.model_copy(update={"seed": seed}).model_dump()
            name = f"{run.name} seed {seed}"
            plan += plan_run(verdict.sweep, make_spec(verdict.sweep, values, REPLICATE, name))
    return plan


def choose_best(verdict: Verdict, n_best: int) -> Sequence[Row]:
    """Return the best configurations that have finished, best first."""
    return [row for row in verdict.rows if row.run.state == "finished"][:n_best]


def _draw_seeds(sweep: SweepRecord, settings: RunConfig, n_seeds: int) -> list[int]:
    """Count on from a run's seed, past those that the sweep itself has tried.

    The same every time, so that the same command finds what it has done.
    """
    runs = [one for run in sweep.runs for one in run.members]
    tried = {run.config.get("seed") for run in runs if _differs_in_seed(run, settings)}
    seeds: list[int] = []
    seed = settings.seed
    while len(seeds) < n_seeds:
        seed = (seed + 1) % SEED_LIMIT
        if seed not in tried:
            seeds.append(seed)
    return seeds


def _differs_in_seed(run: RunRecord, settings: RunConfig) -> bool:
    wanted = settings.model_dump(exclude={"seed"})
    return all(
        run.config.get(name, RunConfig.model_fields[name].default) == value
        for name, value in wanted.items()
    )
