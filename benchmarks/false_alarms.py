"""How often a verdict says "beaten", "told apart" or "above" of sets where there is nothing.

    python benchmarks/false_alarms.py [--n-sets 200] [--configurations 9] [--epochs 12] [--seed 0]

On each set all configurations and all controls are worth the same: cells are right with 0.9, plus
what a well adds for all of them alike (5 points), plus what a well adds for one training (3), plus
what it adds for one epoch (2). Of each training the best of the epochs is kept, and of the
configurations the best one, all on the same 640 cells of 16 wells, as a sweep does. Unirradiated
cells are right with 0.5, and their wells are named one way or the other (standard deviation of 10
points); so are those of trainings on shuffled labels. Counted is what the verdict then says.
"""

import argparse
from collections import Counter

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray

from bpsweep.report.predictions import Predictions
from bpsweep.report.records import CONTROL, RunRecord, SweepRecord
from bpsweep.report.statistics.assessment import Assessment, assess
from bpsweep.report.statistics.verdict import judge

N_WELLS, N_CELLS = 16, 40
WORTH, OF_WELL, OF_TRAINING, OF_EPOCH, OF_NOTHING = 0.9, 0.05, 0.03, 0.02, 0.1
SAYS = ("background beaten", "sham told apart", "shuffles above chance", "for the right reason")


class Set:
    """One set without effect: its wells, and trainings on it."""

    def __init__(self, rng: np.random.Generator, n_epochs: int) -> None:
        self._rng, self._n_epochs = rng, n_epochs
        self.well = np.repeat(np.arange(N_WELLS), N_CELLS)
        self._shared = rng.normal(0, OF_WELL, N_WELLS)

    def train(self, name: str, worth: float, spread: float, **config: object) -> RunRecord:
        """Train once: the best of the epochs is kept, with what it says of every cell."""
        shared = self._shared if worth == WORTH else 0.0
        own = worth + shared + self._rng.normal(0, spread, N_WELLS)
        rows, best, kept = [], -1.0, np.zeros(len(self.well), dtype=bool)
        for number in range(1, self._n_epochs + 1):
            at = own + self._rng.normal(0, OF_EPOCH, N_WELLS)
            right = self._rng.random(len(self.well)) < at[self.well]
            rows.append({"epoch": number, "val/accuracy": float(right.mean())})
            if right.mean() > best:
                best, kept = float(right.mean()), right
        sham = config.get("control") == "sham"
        settings = {
            "split": "well",
            "seed": 42,
            "provenance": {"n_validation": len(kept)},
            **config,
        }
        kind = CONTROL if "control" in config else "train"
        predictions = self._say(kept, 0.0 if sham else 1.0)
        return RunRecord(
            name, name, "finished", settings, tuple(rows), kind=kind, predictions=predictions
        )

    def _say(self, right: NDArray[np.bool_], dose_gy: float) -> Predictions:
        iron = self.well < N_WELLS // 2
        sure = 0.5 + self._rng.beta(3, 2, len(right)) / 2
        p_iron = np.where(iron == right, sure, 1 - sure).astype(np.float32)
        return Predictions(
            cells=np.arange(len(right)).astype(np.str_),
            plates=np.where(iron, "P242", "P280"),
            wells=np.char.add("A", self.well.astype(np.str_)),
            fields=np.arange(len(right)) // 10,
            particles=np.where(iron, "Fe", "X-ray"),
            doses_gy=np.full(len(right), dose_gy),
            hours=np.full(len(right), 4),
            label_names=("Fe", "X-ray"),
            truth=np.stack([iron, ~iron], axis=1).astype(np.uint8),
            probabilities=np.stack([p_iron, 1 - p_iron], axis=1),
        )


def judge_nothing(rng: np.random.Generator, n_configurations: int, n_epochs: int) -> Assessment:
    """Assess a sweep on a set without effect."""
    made = Set(rng, n_epochs)
    sizes = [2**i for i in range(n_configurations)]
    runs = [made.train(f"r{size}", WORTH, OF_TRAINING, batch_size=size) for size in sizes]
    winner = max(runs, key=lambda run: max(row["val/accuracy"] for row in run.history))
    same = {"batch_size": winner.config["batch_size"]}
    beside = [
        made.train("b", WORTH, OF_TRAINING, control="background", **same),
        made.train("s", 0.5, OF_NOTHING, control="sham", **same),
    ]
    for seed in range(5):
        more = {**same, "control": "shuffled-labels", "seed": seed}
        beside.append(made.train(f"l{seed}", 0.5, OF_NOTHING, **more))
    config = {"parameters": {"batch_size": {"values": sizes}}}
    sweep = SweepRecord("a/b/c", "", "FINISHED", config, tuple(runs), "", tuple(beside))
    return assess(judge(sweep))


def main() -> None:
    """Simulate, print how often each is said."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n-sets", type=int, default=200)
    parser.add_argument("--configurations", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    said: Counter[str] = Counter()
    for number in range(arguments.n_sets):
        rng = np.random.default_rng([arguments.seed, number])
        found = judge_nothing(rng, arguments.configurations, arguments.epochs).controls
        assert found.background is not None and found.sham is not None
        assert found.shuffles is not None
        answers = (
            found.background.is_beaten,
            found.sham_tells_apart,
            found.shuffles.leads_around,
            found.right_reason,
        )
        said.update(name for name, is_said in zip(SAYS, answers, strict=True) if is_said)
    print(describe_machine("numpy", "scipy"))
    print(
        f"{arguments.n_sets} sets without effect, best of {arguments.epochs} epochs and "
        f"{arguments.configurations} configurations, seed {arguments.seed}: per cent that say"
    )
    for name in SAYS:
        print(f"  {name:22} {100 * said[name] / arguments.n_sets:5.1f}")


if __name__ == "__main__":
    main()
