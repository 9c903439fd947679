"""The trap: a score that is the plate's, and one that is the damage's; what does the report say?

    python benchmarks/trap.py [--n-images 18000] [--image-size 64] [--epochs 10] [--only NAME ...]

Synthetic sets: plates far apart and no radiation, and radiation and plates alike; both of 4 h under
the published split (by image), and both of three hours with whole plates held out, where the plates
of a particle still share their campaign. On each a LeNet-5 sweep of four configurations, with its
controls; where plates are held out the winner is applied to all doses too. Prints for each the
grade, the best accuracy with its interval, every control, and the report's words. The tests do the
same on fewer cells.
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
PLATES, DAMAGE = "plates alone", "damage alone"
HELD_OUT = ", plates held out"
EFFECTS = {
    PLATES: {"plate_effect": 1.0, "radiation_effect": 0.0},
    DAMAGE: {"plate_effect": 0.0, "radiation_effect": 2.0},
}
SETS = (PLATES, DAMAGE, PLATES + HELD_OUT, DAMAGE + HELD_OUT)
NORMALIZE = {PLATES: "clip", DAMAGE: "percentile"}
"""Brightness is left in where it is the trap."""
FOLDS = ["plate-fold-1-of-3", "plate-fold-2-of-3", "plate-fold-3-of-3"]


def write_sweep(path: Path, arguments: argparse.Namespace, name: str) -> Path:
    """Write the YAML of a LeNet-5 sweep under the published split, or over folds of plates."""
    by_plate, normalize = name.endswith(HELD_OUT), NORMALIZE[name.removesuffix(HELD_OUT)]
    fixed = {
        "model": "lenet5",
        "subset": "irradiated" if by_plate else "hi-4h",
        "image_size": arguments.image_size,
        "epochs": arguments.epochs,
        "normalize": normalize,
        "augment": True,
    }
    swept = {"batch_size": [16, 64], "learning_rate": [0.001, 0.0003]}
    swept["split"] = FOLDS if by_plate else ["image"]
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
    by_plate, effects = name.endswith(HELD_OUT), EFFECTS[name.removesuffix(HELD_OUT)]
    hours = (4, 24, 48) if by_plate else (4,)
    make_synthetic(folder / "images", SyntheticSettings(arguments.n_images, hours, **effects))
    places = {"BPSWEEP_HOME": str(folder), "BPSWEEP_DATA_DIR": str(folder / "images")}
    path, result = write_sweep(folder / "trap.yaml", arguments, name), folder / "r.json"

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
    if by_plate:
        call("dose", found[1])
    call("report", found[1], "--json", str(result))
    report: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return report


def main() -> None:
    """Judge the sets and print what the report says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=18_000)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    arguments = parser.parse_args()
    print(
        f"{arguments.n_images:,} synthetic cells, {arguments.image_size} px; {describe_machine()}"
    )
    for name in arguments.only:
        before_s = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            report = judge_set(Path(folder), name, arguments)
        best, controls = report["configurations"][0], report["controls"]
        print(f"\n{name} ({time.perf_counter() - before_s:.0f} s): {report['grade']}")
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
