"""How well sham Fe is told from sham X-ray cells: what plate and well effects give away.

    python benchmarks/data_sham.py [--plate-effect 0.5] [--well-effect 0.3] [--n-images 18000]
                                   [--seed 0]

Neither kind was irradiated, so only light and animals can tell them apart. Renders a synthetic
set, describes each sham cell at 4 h by numbers (percentiles, size, top-hat, band-passed contrast)
and trains gradient boosting on them, cells held out at random and by whole wells.
Prints the machine, the number of cells, the AUC of the top-hat alone, and for either split the
AUC with a 95 % interval (300 resamplings of wells within each particle).
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, white_tophat
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from bpsweep.data.catalog import Subset, read_catalog, select
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.folders import count_cpus
from bpsweep.data.images import read_image
from bpsweep.data.synthetic import make_synthetic

_PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 99.9, 100)
_SIGMAS = (1, 2, 4, 8)  # pixels, the edges of the bands
_TOP_HAT_SIDE = 7  # pixels
_TOP_HAT_COLUMN = len(_PERCENTILES) + 4  # of the features
_N_RESAMPLINGS = 300


def describe_cell(path: Path) -> list[float]:
    """Numbers of one image: brightness, size, top-hat, the middle, each band's contrast."""
    counts = read_image(path).astype(np.float32)
    height, width = counts.shape
    middle = np.s_[int(0.3 * height) : int(0.7 * height), int(0.3 * width) : int(0.7 * width)]
    features = [
        *np.percentile(counts, _PERCENTILES),
        counts.mean(),
        counts.std(),
        height,
        width,
        white_tophat(counts, _TOP_HAT_SIDE).mean(),
        counts[middle].mean(),
    ]
    blurred = [counts, *(gaussian_filter(counts, sigma) for sigma in _SIGMAS)]
    for finer, coarser in pairwise(blurred):
        band = (finer - coarser)[middle]
        spread = band.std()
        skewness = ((band - band.mean()) ** 3).mean() / spread**3
        features += [spread, skewness, spread / (counts[middle].mean() - counts.min())]
    return [float(feature) for feature in features]


def describe_shams(
    folder: Path,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]:
    """(N, F) features, (N,) whether X-ray, and (N,) particle and well, of sham cells at 4 h."""
    catalog = select(read_catalog(folder), Subset.parse("low-4h"))
    paths = [catalog.folder / name for name in catalog.table["filename"]]
    with ProcessPoolExecutor(count_cpus()) as pool:
        features = np.array(list(pool.map(describe_cell, paths, chunksize=32)))
    particles = catalog.table["particle"]
    wells = (particles + " " + catalog.table["well"]).to_numpy(dtype=str)
    return features, (particles == "X-ray").to_numpy(), wells


def resample_auc(
    is_xray: NDArray[np.bool_], scores: NDArray[np.float64], wells: NDArray[np.str_]
) -> tuple[float, float]:
    """95 % interval of the AUC when each particle's wells are drawn with replacement."""
    rng = np.random.default_rng(0)
    rows_of = {well: np.flatnonzero(wells == well) for well in np.unique(wells)}
    of_xray = [well for well in rows_of if well.startswith("X-ray")]
    of_iron = [well for well in rows_of if not well.startswith("X-ray")]
    aucs = []
    for _ in range(_N_RESAMPLINGS):
        drawn = [*rng.choice(of_iron, len(of_iron)), *rng.choice(of_xray, len(of_xray))]
        rows = np.concatenate([rows_of[well] for well in drawn])
        aucs.append(roc_auc_score(is_xray[rows], scores[rows]))
    low, high = np.percentile(aucs, (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    """Render the set, describe the sham cells, print the AUCs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plate-effect", type=float, default=SyntheticSettings.plate_effect)
    parser.add_argument("--well-effect", type=float, default=SyntheticSettings.well_effect)
    parser.add_argument("--n-images", type=int, default=SyntheticSettings.n_images)
    parser.add_argument("--seed", type=int, default=SyntheticSettings.seed)
    arguments = parser.parse_args()
    settings = SyntheticSettings(
        arguments.n_images,
        seed=arguments.seed,
        plate_effect=arguments.plate_effect,
        well_effect=arguments.well_effect,
    )
    print(describe_machine("numpy", "scipy", "scikit-learn"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        make_synthetic(folder, settings)
        features, is_xray, wells = describe_shams(folder)
    print(
        f"{len(features):,} sham cells at 4 h, plate effect {settings.plate_effect:g}, "
        f"well effect {settings.well_effect:g}, seed {settings.seed}"
    )
    print(f"top-hat alone: AUC {roc_auc_score(is_xray, features[:, _TOP_HAT_COLUMN]):.3f}")
    by_image = StratifiedKFold(5, shuffle=True, random_state=0)
    by_well = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.05, max_leaf_nodes=15)
    for split, folds, groups in (("image", by_image, None), ("well", by_well, wells)):
        with threadpool_limits(1):  # of so few cells more threads mostly wait, on a busy machine
            scores = cross_val_predict(
                model, features, is_xray, cv=folds, groups=groups, method="predict_proba"
            )[:, 1]
        low, high = resample_auc(is_xray, scores, wells)
        auc = roc_auc_score(is_xray, scores)
        print(f"held out by {split}: AUC {auc:.3f}, 95 % {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
