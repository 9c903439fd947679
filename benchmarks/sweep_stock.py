"""A sweep worked off by stock `wandb agent`s, which start a process for every run.

    python benchmarks/sweep_stock.py SWEEP.yaml DATA_DIR N_AGENTS

What `bpsweep run` does, from server to report, but for the agents; images and caches in
BPSWEEP_HOME.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bpsweep.agent import home
from bpsweep.agent.sweep.file import read_sweep_file
from bpsweep.agent.sweep.local_server import running_server
from bpsweep.agent.sweep.work import SweepJob
from bpsweep.agent.tracking.sweeps import create_sweep
from bpsweep.data.folders import count_cpus


def main() -> None:
    """Create the sweep, run the agents, print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep_yaml", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("n_agents", type=int)
    arguments = parser.parse_args()
    file = read_sweep_file(arguments.sweep_yaml)
    with running_server(home.store_dir()) as server:
        job = SweepJob(file, arguments.data_dir, server, arguments.n_agents)
        os.environ.update(job.environment)
        path = create_sweep(file.config)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"},
            "OMP_NUM_THREADS": str(max(1, count_cpus() // arguments.n_agents)),
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        }
        agents = [
            subprocess.Popen(
                [sys.executable, "-m", "wandb", "agent", path],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            for _ in range(arguments.n_agents)
        ]
        for one in agents:
            one.wait()
        subprocess.run(
            [sys.executable, "-m", "bpsweep.agent.command.main", "report", path], check=True
        )
        print(path)


if __name__ == "__main__":
    main()
