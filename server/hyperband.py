"""Early termination: which runs hyperband gives up, as W&B's `sweeps` 0.3 decides it.

Source: L. Li et al., Hyperband, JMLR 18 (2018), as W&B reads it: at each band a run is compared
with all runs that have logged as many values. `sweeps` 0.2, which searches here, compares one value
later and by the best value so far; what it stopped is replayed by its own rule.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

N_BANDS = 100
"""How many bands follow `min_iter`; the last lies beyond any run."""


@dataclass(frozen=True)
class Verdict:
    """Why a run is given up: the band, the value there, and what would have been enough."""

    band: int
    value: float
    threshold: float


def list_bands(early: dict[str, Any]) -> list[int]:
    """Return after how many values runs are judged, in order."""
    eta = early.get("eta", 3)
    bands = []
    if "max_iter" in early:
        band: float = early["max_iter"]
        for _ in range(int(early["s"])):
            band /= eta
            if band < 1:
                break
            bands.append(int(band))
        return sorted(bands)
    band = early["min_iter"]
    for _ in range(N_BANDS):
        bands.append(int(band))
        band *= eta
    return bands


def judge_runs(
    early: dict[str, Any], goal: str, histories: Sequence[Sequence[float]]
) -> list[Verdict | None]:
    """Return for each run whether hyperband gives it up, None where it does not.

    Args:
        early: The `early_terminate` section.
        goal: "minimize" or "maximize".
        histories: The finite values of the metric that each run has logged, in order.
    """
    sign = -1.0 if goal == "maximize" else 1.0
    losses = [[sign * value for value in history] for history in histories]
    eta, strict = early.get("eta", 3), early.get("strict", True)
    bands = list_bands(early)
    thresholds = [_find_threshold(band, eta, losses) for band in bands]
    verdicts: list[Verdict | None] = []
    for run in losses:
        passed = [pair for pair in zip(bands, thresholds, strict=True) if pair[0] <= len(run)]
        if not passed:
            verdicts.append(None)
            continue
        band, threshold = passed[-1]
        loss = run[band - 1] if strict else min(run)
        bad = loss > threshold
        verdicts.append(Verdict(band, sign * loss, sign * threshold) if bad else None)
    return verdicts


def _find_threshold(band: int, eta: float, losses: Sequence[Sequence[float]]) -> float:
    """Return the worst loss at a band that is among the best 1/eta."""
    reached = sorted(run[band - 1] for run in losses if len(run) >= band)
    return reached[int((1.0 / eta) * len(reached))] if reached else math.inf
