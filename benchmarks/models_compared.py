"""LeNet-5 against the MLP at the published configurations, as `bpsweep compare` sets them.

    python benchmarks/models_compared.py [--image-size 200] [--data-dir DIR] [--home DIR]

Four sweeps of two runs each: single-label and multi-label, LeNet-5 and scikit-learn's MLP, each on
the published split (by image) and on whole wells, at the published settings. Prints the tables of
`bpsweep compare` in Markdown. Without --data-dir they are of the embedded synthetic set, and say
so. With --home what has been trained stays: an interrupted call goes on.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from machine import describe_machine

from bpsweep.report.statistics.compare import LENET, PUBLISHED

SUBSETS = {"single-label": "hi-4h", "multi-label": "all-4h"}
BPSWEEP = [sys.executable, "-m", "bpsweep.agent.command.main"]


def write_sweep(folder: Path, task: str, model: str, image_size: int) -> Path:
    """Write the YAML of one model on one task: both splits, the published settings."""
    fixed = {
        "model": "lenet5" if model == LENET else "sklearn-mlp",
        "task": task,
        "subset": SUBSETS[task],
        "image_size": image_size,
        **PUBLISHED[task, model],
    }
    config = {
        "program": "bpsweep.agent",
        "command": ["${env}", "${interpreter}", "-m", "${program}"],
        "name": f"{fixed['model']}, {task}",
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": {
            **{name: {"value": value} for name, value in fixed.items()},
            "split": {"values": ["image", "well"]},
        },
    }
    path = folder / f"{fixed['model']}-{task}-{image_size}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def work_off(path: Path, environment: dict[str, str]) -> str:
    """Run a sweep, or find the one that was run; return its path."""
    memo = path.with_suffix(".sweep")
    if not memo.exists():
        command = [*BPSWEEP, "run", str(path), "--no-controls"]
        done = subprocess.run(
            command, env=environment, text=True, stdout=subprocess.PIPE, check=False
        )
        found = re.search(r"(?:Created|Continuing) sweep (\S+/\S+/\w+)", done.stdout)
        if done.returncode or found is None:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
        print(f"<!-- {path.stem}: {found[1]} -->", flush=True)
        memo.write_text(found[1], encoding="utf-8")
    return memo.read_text(encoding="utf-8")


def main() -> None:
    """Run the sweeps that are not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-size", type=int, default=200)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--only", type=int, help="so many sweeps that are not there yet, then end")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = (arguments.home or Path(name)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "BPSWEEP_HOME": str(home)}
        if arguments.data_dir:
            environment["BPSWEEP_DATA_DIR"] = str(arguments.data_dir.resolve())
        files = [write_sweep(home, *key, arguments.image_size) for key in PUBLISHED]
        missing = [file for file in files if not file.with_suffix(".sweep").exists()]
        for file in missing[: arguments.only]:
            work_off(file, environment)
        if arguments.only is not None and arguments.only < len(missing):
            return
        tables = home / "compared.md"
        sweeps = [work_off(file, environment) for file in files]
        command = [*BPSWEEP, "compare", *sweeps, "--markdown", str(tables)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        print(f"{arguments.image_size} px; {describe_machine()}\n")
        print(tables.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
