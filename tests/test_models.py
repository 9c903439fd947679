"""The networks: sizes, counts, and that they learn."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from bpsweep.models import ModelConfig, ModelError, build_model
from bpsweep.models.adam import FusedAdam


def make_config(**changes) -> ModelConfig:
    return ModelConfig(**{"model": "lenet5", "image_size": 64, "n_labels": 2, "seed": 0, **changes})


def test_lenet_at_200_px_is_the_published_network() -> None:
    network = build_model(make_config(image_size=200))
    conv = (5 * 5 * 1 * 6 + 6) + (5 * 5 * 6 * 16 + 16)
    linear = (16 * 47 * 47 * 120 + 120) + (120 * 84 + 84) + (84 * 2 + 2)
    assert sum(p.numel() for p in network.parameters()) == conv + linear == 4_254_306


@pytest.mark.parametrize("image_size", [32, 33, 64, 127, 200, 224])
@pytest.mark.parametrize("model", ["lenet5", "mlp"])
def test_networks_take_any_square_size(model: str, image_size: int) -> None:
    network = build_model(make_config(model=model, image_size=image_size, n_labels=7))
    assert network(torch.zeros(3, 1, image_size, image_size)).shape == (3, 7)


@pytest.mark.parametrize("image_size", [31, 225])
def test_lenet_refuses_other_sizes(image_size: int) -> None:
    with pytest.raises(ModelError, match=f"image_size={image_size}: .*32 to 224"):
        build_model(make_config(image_size=image_size))


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'lenet6' is unknown; choose one of lenet5"):
        build_model(make_config(model="lenet6"))


def test_pooling_first_is_the_published_order() -> None:
    network = build_model(make_config())
    images = torch.rand(4, 1, 64, 64)
    relu, pool = torch.relu, torch.nn.functional.max_pool2d
    x = pool(relu(network.conv2(pool(relu(network.conv1(images)), 2))), 2).flatten(1)
    expected = network.fc3(relu(network.fc2(relu(network.fc1(x)))))
    assert torch.allclose(network(images), expected, atol=1e-6)


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (build_model(make_config(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.fc1.weight, again.fc1.weight)
    assert not torch.equal(first.fc1.weight, other.fc1.weight)


def test_weight_decay_means_the_same_in_scikit_learn() -> None:
    """Its gradient is (data + alpha W) / batch; ours is mean data gradient + decay W."""
    network = build_model(make_config(model="sklearn-mlp", batch_size=32, weight_decay=0.01))
    assert network.alpha == pytest.approx(0.01 * 32)


def test_the_mlp_standardises_by_the_statistics_given() -> None:
    network = build_model(make_config(model="mlp", image_size=32))
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((5, 1, 32, 32), dtype=np.float32))
    plain = network((images - 0.5) / 2)
    network.standardize(torch.full((1024,), 0.5), torch.full((1024,), 2.0))
    assert torch.allclose(network(images), plain, atol=1e-6)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_adam_is_the_one_of_torch_to_the_bit(weight_decay: float) -> None:
    ours, theirs = (build_model(make_config(image_size=32)) for _ in range(2))
    optimizers = (
        FusedAdam(ours.parameters(), 1e-3, weight_decay),
        torch.optim.Adam(theirs.parameters(), 1e-3, weight_decay=weight_decay, fused=True),
    )
    images = torch.rand(8, 1, 32, 32)
    for _ in range(20):
        for network, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            network(images).square().sum().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_adam_does_not_load_the_compiler_of_torch() -> None:
    """It would cost every process a second and 66 MB."""
    steps = (
        "import sys, torch; from bpsweep.models.adam import FusedAdam; "
        "layer = torch.nn.Linear(3, 3); "
        "adam = FusedAdam(layer.parameters(), 0.1); layer(torch.rand(2, 3)).sum().backward(); "
        "adam.step(); assert not any(name.startswith('torch._dynamo.') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", steps], check=True)
