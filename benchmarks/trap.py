"""The trap: a score that is the plate's, and one that is the damage's; what does the report say?

    python benchmarks/trap.py [--n-images 18000] [--image-size 64] [--epochs 10]

Two synthetic sets: plates far apart and no radiation, and radiation and plates alike. On each a
LeNet-5 sweep of four runs under the published split (by image), with its controls. Prints for each
the best accuracy with its interval, every control, and the report's words. The tests do the same on
fewer cells.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import yaml
from machine import describe_machine

from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.synthetic import make_synthetic

BPSWEEP = [sys.executable, "-m", "bpsweep.agent.command.main"]
SETS = {
    "plates alone": {"plate_effect": 1.0, "radiation_effect": 0.0},
    "damage alone": {"plate_effect": 0.0, "radiation_effect": 2.0},
}
NORMALIZE = {"plates alone": "clip", "damage alone": "percentile"}
"""Brightness is left in where it is the trap."""


def write_sweep(path: Path, arguments: argparse.Namespace, normalize: str) -> Path:
    """Write the YAML of a LeNet-5 sweep under the published split."""
    fixed = {
        "model": "lenet5",
        "split": "image",
        "image_size": arguments.image_size,
        "epochs": arguments.epochs,
        "normalize": normalize,
        "augment": True,
    }
    swept = {"batch_size": [16, 64], "learning_rate": [0.001, 0.0003]}
    config = {
        "program": "bpsweep.agent",
        "command": ["${env}", "${interpreter}", "-m", "${program}"],
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": {
            **{name: {"value": value} for name, value in fixed.items()},
            **{name: {"values": values} for name, values in swept.items()},
        },
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def judge_set(folder: Path, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a set, run the sweep with its controls, return the report."""
    make_synthetic(folder / "images", SyntheticSettings(arguments.n_images, **SETS[name]))
    places = {"BPSWEEP_HOME": str(folder), "BPSWEEP_DATA_DIR": str(folder / "images")}
    path, result = write_sweep(folder / "trap.yaml", arguments, NORMALIZE[name]), folder / "r.json"

    def call(*words: str) -> str:
        return subprocess.run(
            [*BPSWEEP, *words],
            env={**os.environ, **places},
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout

    found = re.search(r"Created sweep (\S+)", call("run", str(path)))
    assert found
    call("report", found[1], "--json", str(result))
    report: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return report


def main() -> None:
    """Judge both sets and print what the report says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=18_000)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    print(
        f"{arguments.n_images:,} synthetic cells, {arguments.image_size} px; {describe_machine()}"
    )
    for name in SETS:
        before_s = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            report = judge_set(Path(folder), name, arguments)
        best, controls = report["configurations"][0], report["controls"]
        print(f"\n{name} ({time.perf_counter() - before_s:.0f} s): reason {controls['reason']!r}")
        low, high = best["val_accuracy_low"], best["val_accuracy_high"]
        print(f"  best {best['val_accuracy']:.1%} ({low:.1%} to {high:.1%}), {best['verdict']}")
        for one in controls["runs"]:
            print(f"  {one['control']}: {one['value']:.1%}")
        sham = controls["sham_auc"]
        print(f"  sham AUC {sham['value']:.2f} ({sham['low']:.2f} to {sham['high']:.2f})")
        for line in report["findings"]:
            print(textwrap.fill(line, 100, initial_indent="  > ", subsequent_indent="    "))


if __name__ == "__main__":
    main()
