"""Foci counted in synthetic cells, by our detector and scikit-image's, against the published table.

    python benchmarks/data_foci.py [--n-cells 400]

Renders cells of each of the published table's conditions, without plate or well effects, and
needs scikit-image (of the extra `test`). Absolute numbers are a detector's own, so ratios are
compared: (mean count / table), divided by the geometric mean of that over the conditions; 1.00
everywhere would be the table's ratios exactly.
Prints the machine, a Markdown table of mean count ± standard error (ratio) for each detector, and
each detector's range of ratios.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray
from skimage.feature import blob_log

from bpsweep.data.conditions import FOCI_TABLE, find_damage
from bpsweep.data.foci import find_foci
from bpsweep.data.folders import count_cpus
from bpsweep.data.nucleus import Stain, Textures, render_nucleus

Condition = tuple[str, float, int]  # particle, dose in Gy, hour

THRESHOLDS = (0.4, 0.45, 0.5)  # of scikit-image; find_foci has 0.45
CONDITIONS: list[Condition] = [
    (particle, dose_gy, hour) for (particle, dose_gy), hours in FOCI_TABLE.items() for hour in hours
]
DETECTORS = ("find_foci", *(f"blob_log {threshold}" for threshold in THRESHOLDS))


def count_foci(condition: Condition, n_cells: int) -> NDArray[np.int64]:
    """(n_cells, detectors) foci of newly rendered cells; the same ones at every call."""
    particle, dose_gy, hour = condition
    textures, damage = Textures(0), find_damage(particle, dose_gy, hour)
    counts = []
    for cell in range(n_cells):
        rng = np.random.default_rng((cell, int(100 * dose_gy), hour, len(particle)))
        pixels = render_nucleus(damage, Stain(), textures, rng)
        counts.append([len(find_foci(pixels)), *count_blobs(pixels)])
    return np.array(counts)


def count_blobs(pixels: NDArray[np.uint16]) -> list[int]:
    """Foci by scikit-image at each threshold, with the scales, margin and units of find_foci."""
    background, nucleus = np.percentile(pixels, (5, 85))
    relative = (pixels - background) / max(nucleus - background, 50)
    scales = {"min_sigma": 1.5, "max_sigma": 3.5, "num_sigma": 3}
    return [
        len(blob_log(relative, **scales, threshold=threshold, exclude_border=4))
        for threshold in THRESHOLDS
    ]


def compare_with_table(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(conditions, detectors) mean counts as ratios to the table, their geometric mean 1."""
    table = np.array(
        [FOCI_TABLE[particle, dose_gy][hour] for particle, dose_gy, hour in CONDITIONS]
    )
    ratios = means / table[:, None]
    return ratios / np.exp(np.log(ratios).mean(axis=0))


def main() -> None:
    """Render and count all conditions, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n-cells", type=int, default=400, help="of each condition")
    arguments = parser.parse_args()
    print(describe_machine("numpy", "scipy", "scikit-image"))
    print(f"{arguments.n_cells} cells of each of {len(CONDITIONS)} conditions\n")
    with ProcessPoolExecutor(count_cpus()) as pool:
        count = partial(count_foci, n_cells=arguments.n_cells)
        counts = np.array(list(pool.map(count, CONDITIONS)))  # (conditions, cells, detectors)
    means = counts.mean(axis=1)
    errors = counts.std(axis=1) / arguments.n_cells**0.5
    ratios = compare_with_table(means)
    print(f"| condition | {' | '.join(DETECTORS)} |")
    print("|---" * (len(DETECTORS) + 1) + "|")
    for row, (particle, dose_gy, hour) in enumerate(CONDITIONS):
        cells = [
            f"{mean:.2f} ± {error:.2f} ({ratio:.2f})"
            for mean, error, ratio in zip(means[row], errors[row], ratios[row], strict=True)
        ]
        print(f"| {particle} {dose_gy:g} Gy {hour} h | {' | '.join(cells)} |")
    print()
    for detector, column in zip(DETECTORS, ratios.T, strict=True):
        print(f"{detector}: ratios to the table from {column.min():.2f} to {column.max():.2f}")


if __name__ == "__main__":
    main()
