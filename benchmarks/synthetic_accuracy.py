"""Accuracy of LeNet-5 and the MLP on the synthetic set: published settings, splits and tasks.

    python benchmarks/synthetic_accuracy.py [--image-size 64] [--n-images 18000]

Prints a Markdown table: best epoch's validation accuracy by plate effect (0 and the default),
split and task. The published settings are those of the BPS course project; its images were 200 px.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.loop import train
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.synthetic import make_synthetic
from bpsweep.report import metrics

PUBLISHED = {
    ("lenet5", "single-label"): {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4},
    ("sklearn-mlp", "single-label"): {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4},
    ("lenet5", "multi-label"): {"batch_size": 128, "epochs": 10, "learning_rate": 1.5e-4},
    ("sklearn-mlp", "multi-label"): {"batch_size": 32, "epochs": 15, "learning_rate": 3e-4},
}
SUBSETS = {"single-label": "hi-4h", "multi-label": "all-4h"}


def measure(config: RunConfig, images: Path, caches: Path) -> tuple[dict[str, float], float]:
    """Train one configuration; return the best epoch's metrics and the seconds it took."""
    inputs = load_inputs(config, images, caches)
    before_s = time.perf_counter()
    result = train(config, inputs, lambda _: None)
    return result.best.values, time.perf_counter() - before_s


def main() -> None:
    """Make the two synthetic sets, train everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--n-images", type=int, default=SyntheticSettings.n_images)
    arguments = parser.parse_args()
    print(f"Synthetic images, {arguments.n_images:,} cells at 4 h, {arguments.image_size} px\n")
    print("| plate effect | task | split | model | accuracy | Jaccard | Hamming | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for plate_effect in (0.0, SyntheticSettings.plate_effect):
            images = Path(name) / f"plate-{plate_effect}"
            settings = SyntheticSettings(arguments.n_images, plate_effect=plate_effect)
            make_synthetic(images, settings)
            for (model, task), published in PUBLISHED.items():
                for split in ("image", "well"):
                    config = RunConfig(
                        model=model,
                        task=task,
                        subset=SUBSETS[task],
                        split=split,
                        image_size=arguments.image_size,
                        **published,
                    )
                    best, seconds = measure(config, images, Path(name) / "caches")
                    print(
                        f"| {plate_effect:g} | {task} | {split} | {model} "
                        f"| {best[metrics.VAL_ACCURACY]:.1%} | {best[metrics.VAL_JACCARD]:.3f} "
                        f"| {best[metrics.VAL_HAMMING]:.3f} | {seconds:.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
