"""Writes hyperband_cases.json: what `sweeps` 0.3 stops, for random settings and histories.

`sweeps` 0.3 asks for numpy below 2, so it lives in an environment of its own:
    python -m venv engine && engine/bin/pip install sweeps==0.3.0
    engine/bin/python tests/make_hyperband_cases.py
"""

import json
import random
from pathlib import Path
from typing import Any

import sweeps

N_CASES = 120


def make_case(rng: random.Random) -> dict[str, Any]:
    """Return random settings and histories with what the engine stops."""
    early: dict[str, Any] = {"type": "hyperband"}
    if rng.random() < 0.5:
        early["min_iter"] = rng.randint(1, 4)
    else:
        early |= {"max_iter": rng.randint(3, 27), "s": rng.randint(1, 4)}
    if rng.random() < 0.7:
        early["eta"] = rng.choice([2, 3, 4, 1.5, 2.5])
    if rng.random() < 0.7:
        early["strict"] = rng.random() < 0.5
    goal = rng.choice(["minimize", "maximize"])
    histories = [
        [round(rng.gauss(0.5, 0.3), 2) for _ in range(rng.randint(0, 14))]
        for _ in range(rng.randint(1, 12))
    ]
    runs = [
        sweeps.SweepRun(name=str(n), state="running", history=[{"m": v} for v in values])
        for n, values in enumerate(histories)
    ]
    config = {
        "method": "random",
        "metric": {"name": "m", "goal": goal},
        "early_terminate": early,
        "parameters": {"a": {"values": [1, 2]}},
    }
    try:
        stopped = sorted(int(run.name) for run in sweeps.stop_runs(config, runs))
    except ValueError:  # no band at all
        stopped = []
    return {"early": early, "goal": goal, "histories": histories, "stopped": stopped}


if __name__ == "__main__":
    assert sweeps.__version__.startswith("0.3"), sweeps.__version__
    generator = random.Random(20261104)
    lines = [json.dumps(make_case(generator)) for _ in range(N_CASES)]
    target = Path(__file__).with_name("hyperband_cases.json")
    target.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
