"""Stacked networks: each is the network that it would be alone, to the last digits of float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bpsweep.models import ModelConfig, build_model
from bpsweep.models.stacked import Stack

SIZE, N_STEPS, RATES = 32, 20, (1e-3, 3e-3, 1e-4)
DECAYS = (0.0, 1e-2, 1e-3)


def make_batches(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Make images whose class can be learnt: a bright square here or there, under noise."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(N_STEPS):
        labels = torch.randint(2, (8,), generator=generator)
        images = torch.rand(8, 1, SIZE, SIZE, generator=generator, dtype=torch.float64)
        for image, label in zip(images, labels, strict=True):
            start = 4 + 14 * int(label)
            image[0, start : start + 8, start : start + 8] += 1
        batches.append((images, labels))
    return batches


def build(model: str, seed: int) -> nn.Module:
    network = build_model(ModelConfig(model, SIZE, n_labels=2, seed=seed))
    assert isinstance(network, nn.Module)
    return network.double()


def train_alone(model: str, member: int, seed: int, rate: float):
    network = build(model, member)
    adam = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=DECAYS[member])
    losses = []
    for images, labels in make_batches(seed):
        loss = functional.cross_entropy(network(images), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, dict(network.named_parameters())


def train_stacked(model: str, seeds: list[int]):
    """Train by the stack with torch's Adam on each member's slice; seeds: one for all, or each."""
    stack = Stack([build(model, k) for k in range(3)])
    slices = [[value.detach()[k] for value in stack.weights.values()] for k in range(3)]
    groups = [
        {"params": views, "lr": rate, "weight_decay": decay}
        for views, rate, decay in zip(slices, RATES, DECAYS, strict=True)
    ]
    adam = torch.optim.Adam(groups)
    losses = []
    for batches in zip(*map(make_batches, seeds), strict=True):
        logits = stack(torch.stack([images for images, _ in batches]))
        labels = torch.stack([labels for _, labels in batches]).expand(3, -1)
        each = torch.stack(
            [functional.cross_entropy(*pair) for pair in zip(logits, labels, strict=True)]
        )
        gradients = torch.autograd.grad(each.sum(), list(stack.weights.values()))
        for k, views in enumerate(slices):
            for view, gradient in zip(views, gradients, strict=True):
                view.grad = gradient[k]
        adam.step()
        losses.append(each.tolist())
    return losses, stack


@pytest.mark.parametrize("model", ["lenet5", "mlp"])
@pytest.mark.parametrize("seeds", [[7], [7, 8, 9]], ids=["same batches", "each its own"])
def test_each_member_is_the_network_it_would_be_alone(model: str, seeds: list[int]) -> None:
    losses, stack = train_stacked(model, seeds)
    for k, rate in enumerate(RATES):
        seed = seeds[k % len(seeds)]
        alone, weights = train_alone(model, k, seed, rate)
        assert alone[-1] < alone[0] or k == 2, "the images can be learnt"
        assert [step[k] for step in losses] == pytest.approx(alone, abs=1e-10)
        wrong, _ = train_alone(model, k, seed, rate * 1.01)
        assert [step[k] for step in losses] != pytest.approx(wrong, abs=1e-10)
        for name, value in stack.member(k).items():
            if name in weights:
                assert torch.allclose(value, weights[name], rtol=0, atol=1e-10)


def test_a_stack_refuses_members_of_two_kinds() -> None:
    with pytest.raises(TypeError, match=r"\['LeNet5', 'MLP'\]"):
        Stack([build("lenet5", 0), build("mlp", 0)])
