"""Training: it learns, it repeats, it measures what it says, it ends when it diverges."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import DivergedError
from bpsweep.agent.training.engine import build_engine, measure_pixels
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.loop import run_epoch, train
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.loader import Loader, LoaderSettings
from bpsweep.data.synthetic import make_synthetic
from bpsweep.report import metrics

SMALL = {"image_size": 32, "split": "image", "batch_size": 16}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Give a small synthetic set and a place for caches."""
    root = tmp_path_factory.mktemp("set")
    make_synthetic(root / "images", SyntheticSettings(n_images=300))
    return root / "images", root / "cache"


def load(folders: tuple[Path, Path], **changes) -> tuple[RunConfig, Inputs]:
    config = RunConfig(**{**SMALL, **changes})
    return config, load_inputs(config, *folders)


def test_lenet_overfits_64_images(folders) -> None:
    config, inputs = load(folders, subset="all-4h", image_size=64)
    rows = np.arange(0, 300, 300 // 64)[:64]
    settings = LoaderSettings(batch_size=16, normalize="minmax", augment=False, seed=0)
    loader = Loader(inputs.cache, inputs.labels, rows, settings, shuffle=True)
    fixed = Loader(inputs.cache, inputs.labels, rows, settings, shuffle=False)
    engine = build_engine(config.model_copy(update={"learning_rate": 2e-3}), 2, loader)
    for epoch in range(200):
        engine.fit_epoch(loader.epoch(epoch))
        decided = metrics.decide(engine.predict(fixed.epoch(0)), exclusive=True)
        if metrics.accuracy(inputs.labels[rows], decided) == 1:
            return
    pytest.fail("64 images are not learnt by heart in 200 epochs")


@pytest.mark.parametrize("model", ["lenet5", "mlp", "sklearn-mlp"])
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_the_same_seed_gives_the_same_numbers(folders, model: str, task: str) -> None:
    def run(seed: int):
        config, inputs = load(
            folders, model=model, task=task, subset="all-4h", epochs=2, seed=seed, augment=True
        )
        epochs: list[dict[str, float]] = []
        result = train(config, inputs, lambda epoch: epochs.append(epoch.values))
        timed = (metrics.IMAGES_PER_S, metrics.ELAPSED_S)
        values = [{k: v for k, v in one.items() if k not in timed} for one in epochs]
        assert set(epochs[0]) == set(metrics.LOGGED)
        return values, result.best_weights

    (first, weights), (again, weights_again), (other, _) = run(1), run(1), run(2)
    assert first == again
    assert first != other
    assert weights.keys() == weights_again.keys()
    assert all(np.array_equal(weights[name], weights_again[name]) for name in weights)


def test_the_best_epoch_and_its_weights_are_kept(folders) -> None:
    config, inputs = load(folders, model="mlp", epochs=6, learning_rate=0.003)
    seen = []
    result = train(config, inputs, seen.append)
    accuracies = [epoch.values[metrics.VAL_ACCURACY] for epoch in seen]
    assert result.best.epoch == 1 + int(np.argmax(accuracies))
    engine = build_engine(config, 2, inputs.training)
    engine._model.load_state_dict(  # type: ignore[attr-defined]
        {name: torch.from_numpy(value) for name, value in result.best_weights.items()}
    )
    again = engine.predict(inputs.validation.epoch(0))
    assert np.allclose(again, result.best.probabilities, atol=1e-6)


def test_a_diverged_run_ends_at_once_and_says_why(folders) -> None:
    config, inputs = load(folders)

    class Broken:
        def fit_epoch(self, batches) -> float:
            return float("nan")

        def predict(self, batches):
            return np.full((len(inputs.split.val), 2), 0.5, np.float32)

    with pytest.raises(DivergedError, match=r"diverged in epoch 3: .*learning_rate=0.0003"):
        run_epoch(config, Broken(), inputs, epoch=3, started_s=0.0)


def test_pixel_statistics_are_those_of_the_training_part(folders) -> None:
    _, inputs = load(folders)
    images = np.concatenate([batch.images for batch in inputs.training.epoch(0)])
    mean, scale = measure_pixels(inputs.training)
    pixels = images.reshape(len(images), -1).astype(np.float64)
    assert len(pixels) == len(inputs.split.train)
    assert np.allclose(mean, pixels.mean(axis=0), atol=1e-6)
    assert np.allclose(scale, np.where(pixels.std(0) < 1e-6, 1, pixels.std(0)), atol=1e-5)


def test_a_run_told_to_stop_keeps_its_best_epoch(folders) -> None:
    config, inputs = load(folders, model="mlp", epochs=5)

    def stop_after(n_epochs: int):
        def listen(epoch) -> None:
            if epoch.epoch == n_epochs:
                raise KeyboardInterrupt

        return listen

    whole = train(config.model_copy(update={"epochs": 2}), inputs, lambda _: None)
    cut = train(config, inputs, stop_after(2))
    assert cut.interrupted and not whole.interrupted
    assert cut.best.epoch == whole.best.epoch
    assert all(np.array_equal(cut.best_weights[k], v) for k, v in whole.best_weights.items())


def test_scikit_learns_epoch_is_its_own_batch_by_batch(folders) -> None:
    config, inputs = load(folders, model="sklearn-mlp", batch_size=16)
    engine = build_engine(config, 2, inputs.training)
    engine.fit_epoch(inputs.training.epoch(1))
    batches = list(inputs.training.epoch(1))
    mean, scale = measure_pixels(inputs.training)
    pixels = np.concatenate([batch.images.reshape(len(batch.images), -1) for batch in batches])
    whole = MLPClassifier(
        hidden_layer_sizes=(25, 25),
        batch_size=16,
        learning_rate_init=config.learning_rate,
        alpha=0,
        shuffle=False,
        random_state=config.seed,
    )
    classes = np.concatenate([batch.labels for batch in batches]).argmax(axis=1)
    whole.partial_fit((pixels - mean) / scale, classes, classes=[0, 1])
    assert np.allclose(engine.weights()["layers.0.weight"], whole.coefs_[0], atol=1e-6)
