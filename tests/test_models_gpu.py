"""The kernels of a CUDA GPU agree with torch; without a GPU, Triton's interpreter runs them."""

import os

import pytest
import torch
from torch.optim import Adam

from bpsweep.models import gpu

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read as Triton is imported
pytest.importorskip("triton.language")


@pytest.fixture
def kernels() -> gpu.Kernels:
    from bpsweep.models.gpu_adam import StackedAdam  # noqa: PLC0415
    from bpsweep.models.gpu_convpool import conv_pool_relu  # noqa: PLC0415

    return gpu.Kernels(conv_pool_relu, StackedAdam)


def test_values_and_gradients_are_those_of_torch(kernels: gpu.Kernels) -> None:
    assert gpu.measure_error(kernels.conv_pool_relu, DEVICE) < gpu.MAX_ERROR


@pytest.mark.parametrize("size", [33, 36])
def test_models_may_share_images_and_sizes_may_be_odd(kernels: gpu.Kernels, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 2, 1, size, size, generator=generator)
    weight = torch.rand(3, 6, 1, 5, 5, generator=generator).sub_(0.5)
    bias = torch.rand(3, 6, generator=generator).sub_(0.5)
    ours = kernels.conv_pool_relu(*(one.to(DEVICE) for one in (images, weight, bias))).cpu()
    assert torch.allclose(ours, gpu.apply_torch(images, weight, bias), atol=1e-5)
    assert not torch.allclose(ours, gpu.apply_torch(images, weight, bias + 0.1), atol=1e-5)


def test_each_model_has_an_adam_of_its_own_and_some_may_leave(kernels: gpu.Kernels) -> None:
    torch.manual_seed(0)
    rates, decays = [1e-3, 1e-2, 3e-3], [0.0, 0.1, 0.0]
    weights = [torch.randn(3, 5, 7, device=DEVICE), torch.randn(3, 4, device=DEVICE)]
    alone = [[weight[k].clone().requires_grad_() for weight in weights] for k in range(3)]
    theirs = [
        Adam(own, rate, weight_decay=decay)
        for own, rate, decay in zip(alone, rates, decays, strict=True)
    ]
    ours, members = kernels.adam(weights, rates, decays), [0, 1, 2]
    for step in range(6):
        if step == 3:
            members = [0, 2]
            weights = [weight[members].clone() for weight in weights]
            ours.keep(members, weights)
        gradients = [torch.randn_like(weight) for weight in weights]
        ours.step(gradients)
        for at, k in enumerate(members):
            for own, gradient in zip(alone[k], gradients, strict=True):
                own.grad = gradient[at].clone()
            theirs[k].step()
    for at, k in enumerate(members):
        for own, weight in zip(alone[k], weights, strict=True):
            assert torch.allclose(weight[at], own, atol=1e-6)


def test_what_cannot_be_used_is_told_and_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.load_gpu_step.cache_clear()
    monkeypatch.setenv(gpu.SWITCH, "0")
    assert gpu.load_gpu_step() == gpu.GPUStep(None, f"torch ({gpu.SWITCH}=0)")
    gpu.load_gpu_step.cache_clear()
    monkeypatch.delenv(gpu.SWITCH)
    monkeypatch.setattr(gpu, "measure_error", lambda *_: 0.5)
    step = gpu.load_gpu_step()
    gpu.load_gpu_step.cache_clear()
    assert step.kernels is None
    assert step.description.endswith("is wrong by 0.5 here)")
