"""What a run costs besides its training steps, part by part, in a warm process on our server.

    python benchmarks/run_cost.py [--turns 5] [--quick]

LeNet-5 at 64 px, batch 64, one epoch of 8,866 images; a turn is a run. Each part is timed by
itself, one after the other, nothing beside it: in a worker, drawing, sending and ending are dealt
with by a thread while the next run trains. What is wanted is the sum of all parts, in seconds.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compare import Row, Side, current_load, make_images, run_benchmark, show

from bpsweep.agent.runs import trial
from bpsweep.agent.runs.trial import Trial
from bpsweep.agent.sweep.local_server import running_server
from bpsweep.agent.tracking.run import RunSpec, TrackedRun
from bpsweep.agent.training.engine import TorchEngine
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.agent.training.warm_inputs import WarmInputs

N_IMAGES = 8866
STEPS, OTHER = "steps", "the rest"
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("start at W&B", TrackedRun, "open"),
    ("inputs", WarmInputs, "load"),
    (STEPS, TorchEngine, "fit_epoch"),
    ("evaluation", TorchEngine, "predict"),
    ("logging", TrackedRun, "log_epoch"),
    ("pictures drawn", trial, "draw_confusion"),
    ("pictures drawn", trial, "draw_samples"),
    ("pictures sent", TrackedRun, "log_results"),
    ("predictions sent", TrackedRun, "save_predictions"),
    ("weights written", trial.safetensors, "save"),
    ("artifact sent", TrackedRun, "save_artifact"),
    ("end at W&B", TrackedRun, "close"),
)

_state: dict[str, Any] = {}
_taken_s: Counter[str] = Counter()


def time_part(name: str, owner: Any, attribute: str) -> None:
    """Have a function note what its calls take."""
    function: Callable[..., Any] = getattr(owner, attribute)

    def timed(*arguments: Any, **named: Any) -> Any:
        before_s = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            _taken_s[name] += time.perf_counter() - before_s

    setattr(owner, attribute, timed)


def prepare() -> None:
    """A warm process: what is loaded once is loaded, one run has been made."""
    keep_freed_memory()
    for part in PARTS:
        time_part(*part)
    _state["load"] = WarmInputs().load
    run_once(0)


def run_once(number: int) -> dict[str, float]:
    """Make one run from beginning to end; seconds of every part."""
    _taken_s.clear()
    values = {"subset": "all-4h", "split": "image", "epochs": 1, "seed": number}
    before_s = time.perf_counter()
    one = Trial(RunSpec(values=values), _state["load"])
    one.open()
    one.close(one.train())
    whole_s = time.perf_counter() - before_s
    return {**_taken_s, OTHER: whole_s - sum(_taken_s.values())}


def measure(arguments: argparse.Namespace) -> list[Row]:
    """As many runs as turns."""
    work_dir: Path = arguments.work_dir
    images = make_images(work_dir, 600 if arguments.quick else N_IMAGES)
    home = work_dir / "home-cost"
    where = {
        "BPSWEEP_HOME": str(home),
        "BPSWEEP_DATA_DIR": str(images),
        "WANDB_DIR": str(home),
        "WANDB_SILENT": "true",
    }
    load = current_load()
    with running_server(home / "server") as server:
        ours = Side(prepare, variables={**server.environment, **where})
        runs = [ours.call(run_once, number) for number in range(1, arguments.turns + 1)]
        ours.close()
    names = [name for name in dict.fromkeys(name for name, *_ in PARTS) if name != STEPS]
    medians = {name: float(np.median([run[name] for run in runs])) for name in [*names, OTHER]}
    row = Row(
        "a run besides its steps, in seconds: all parts one after the other",
        "nothing",
        "< 1.5",
        tuple(sum(run.values()) - run[STEPS] for run in runs),
        ", ".join(f"{name} {seconds:.3f}" for name, seconds in medians.items()),
        load,
    )
    show(row.describe())
    return [row]


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch", "wandb")
