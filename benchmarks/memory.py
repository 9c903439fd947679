"""Memory of four agents at work on one image cache, against that of one; of 200 runs in a row.

    python benchmarks/memory.py [--turns 5] [--quick]

LeNet-5 at 200 px, batch 64, 8,866 images, one epoch: `bpsweep run` with one agent and one run, and
with four of either. Memory is the proportional set size of the agents with all that they start
(what several processes share is counted once), looked at four times a second; the greatest sum
counts. The server and the command that waits are left out on both sides. Then, once, a sweep of
200 runs of one epoch of 240 images by one agent: its memory, helpers included, in the last tenth of
the time against the second tenth.
"""

import argparse
import re
import threading
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import yaml
from compare import Row, current_load, divide, make_images, run_benchmark, show, take_turns
from sweep import run_warm, write_sweep

SIZE, N_IMAGES, N_RUNS = 200, 8866, 200
_PAUSE_S = 0.25


def read_pss(process: psutil.Process) -> int:
    """Proportional set size in bytes; 0 when the process has ended."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def list_agents() -> list[psutil.Process]:
    """The foreman that `bpsweep run` has started, its workers, and what they have started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "bpsweep.agent.runs.foreman" in process.cmdline():
                found += [process, *process.children()]
        except psutil.NoSuchProcess:
            continue
    return list({process.pid: process for process in found}.values())


def run_agents(n_agents: int, file: Path, images: Path, work_dir: Path) -> list[int]:
    """The sum of the agents' memory in bytes, all through a sweep."""
    sums = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_PAUSE_S):
            sums.append(sum(read_pss(process) for process in list_agents()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        run_warm(file, images, work_dir, n_agents)
    finally:
        over.set()
        thread.join()
    return sums


def measure_peak(n_agents: int, file: Path, images: Path, work_dir: Path) -> float:
    """The greatest of them."""
    peak = max(run_agents(n_agents, file, images, work_dir))
    show(f"{n_agents} agents: {peak / 1e9:.2f} GB")
    return float(peak)


def write_large(path: Path, n_runs: int) -> Path:
    """A sweep file at 200 px."""
    content = yaml.safe_load(write_sweep(path, n_runs, 1).read_text(encoding="utf-8"))
    content["parameters"]["image_size"] = {"value": SIZE}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def measure(arguments: argparse.Namespace) -> list[Row]:
    """One agent, four agents."""
    n_images = 600 if arguments.quick else N_IMAGES
    work_dir: Path = arguments.work_dir
    images = make_images(work_dir, n_images)
    files = {n: write_large(work_dir / f"memory-{n}.yaml", n) for n in (1, 4)}
    run_warm(files[1], images, work_dir, 1)  # builds the cache
    load = current_load()
    turns = take_turns(
        {str(n): partial(measure_peak, n, files[n], images, work_dir) for n in files},
        arguments.turns,
    )
    row = Row(
        f"peak memory of 4 agents, {n_images:,} images of {SIZE} px",
        "one agent",
        "< 1.5",
        divide(turns["4"], turns["1"]),
        f"{np.median(turns['4']) / 1e9:.2f} GB against {np.median(turns['1']) / 1e9:.2f} GB",
        load,
    )
    show(row.describe())
    return [row, measure_growth(work_dir, 20 if arguments.quick else N_RUNS)]


def measure_growth(work_dir: Path, n_runs: int) -> Row:
    """One agent, run after run."""
    images = make_images(work_dir, 300)
    load = current_load()
    file = write_sweep(work_dir / f"memory-{n_runs}-runs.yaml", n_runs, n_epochs=1)
    while_at_work = [total for total in run_agents(1, file, images, work_dir) if total]
    early, *_, late = np.array_split(while_at_work, 10)[1:]
    row = Row(
        f"memory of one agent at the end of {n_runs} runs in a row",
        "after a tenth of them",
        "< 1.1",
        (float(np.median(late) / np.median(early)),),
        f"{np.median(late) / 1e6:.0f} MB against {np.median(early) / 1e6:.0f} MB",
        load,
    )
    show(row.describe())
    return row


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch", "wandb")
