"""Torch's MLP against scikit-learn's: the same network learns the same from the same batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.engine import TorchEngine, build_engine
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.sklearn_engine import SklearnEngine

N_EPOCHS = 3


def load(small_set: Path, cache: Path, model: str, **changes) -> tuple[RunConfig, Inputs]:
    settings = {"task": "multi-label", "image_size": 32, "subset": "all-4h", "split": "image"}
    config = RunConfig(**{**settings, "model": model, "batch_size": 16, **changes})
    return config, load_inputs(config, small_set, cache)


def read_initial_weights(config: RunConfig, inputs: Inputs) -> dict[str, np.ndarray]:
    """Return what scikit-learn starts from, by a step that goes nowhere."""
    still = config.model_copy(update={"learning_rate": 1e-30})
    engine = build_engine(still, inputs.n_labels, inputs.training)
    engine.fit_epoch(batch for batch in list(inputs.training.epoch(1))[:1])
    return engine.weights()


def train_torch_from(weights, config: RunConfig, inputs: Inputs) -> tuple[list[float], TorchEngine]:
    engine = build_engine(config, inputs.n_labels, inputs.training)
    assert isinstance(engine, TorchEngine)
    state = {
        name: torch.from_numpy(value.T.copy() if name.endswith("weight") else value)
        for name, value in weights.items()
    }
    engine._model.load_state_dict(state)
    return [engine.fit_epoch(inputs.training.epoch(k)) for k in range(N_EPOCHS)], engine


def test_torch_trains_scikit_learns_network(small_set: Path, tmp_path: Path) -> None:
    """Many labels: scikit-learn's sum over them is torch's mean, to which Adam is blind."""
    config, inputs = load(small_set, tmp_path, "sklearn-mlp")
    initial = read_initial_weights(config, inputs)
    engine = build_engine(config, inputs.n_labels, inputs.training)
    assert isinstance(engine, SklearnEngine)
    losses = [engine.fit_epoch(inputs.training.epoch(k)) for k in range(N_EPOCHS)]
    torch_config = config.model_copy(update={"model": "mlp"})
    found, other = train_torch_from(initial, torch_config, inputs)
    assert losses[-1] < 0.9 * losses[0], "there is something to learn"
    assert np.array(found) == pytest.approx(losses, rel=1e-4)
    for name, value in other.weights().items():
        theirs = engine.weights()[name]
        assert value == pytest.approx(theirs.T if name.endswith("weight") else theirs, abs=1e-3)
    wrong = torch_config.model_copy(update={"learning_rate": 2 * config.learning_rate})
    far, _ = train_torch_from(initial, wrong, inputs)
    assert np.array(far) != pytest.approx(losses, rel=1e-4)
