"""What every test starts from: no W&B settings of the user's, a home and a folder of its own."""

import os
from pathlib import Path

import pytest
import torch

from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.synthetic import make_synthetic

REAL_SET = Path(__file__).parents[2] / "shared" / "bps" / "train"

torch.set_num_threads(1)  # networks this small gain nothing from more, and tests run beside others


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clear WANDB_* and BPSWEEP_*, and work in a temporary folder with a home in it."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "BPSWEEP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BPSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of 240 synthetic cells at 4 h."""
    folder = tmp_path_factory.mktemp("small") / "images"
    make_synthetic(folder, SyntheticSettings(n_images=240))
    return folder


@pytest.fixture
def real_set() -> Path:
    """Give the folder with the real labels and one real image, or skip."""
    if not (REAL_SET / "meta.csv").is_file():
        pytest.skip(f"the real labels are not at {REAL_SET}")
    return REAL_SET
