"""The compiled pairs: the function that torch computes, ties and NaN included, or torch instead."""

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bpsweep.models import ModelConfig, build_model, compiled, convpool
from bpsweep.models.convpool import conv_pool_relu_twice, describe_cpu_step
from bpsweep.models.linear import apply_linear, can_use_onednn
from bpsweep.models.trunk import apply_trunk

SHAPES = ((6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,))


def has_compiler() -> bool:
    try:
        compiled.find_compiler()
    except compiled.CompileError:
        return False
    return True


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no GNU C++ compiler here")


def make_pairs(weights: list[torch.Tensor]) -> tuple[torch.nn.Conv2d, torch.nn.Conv2d]:
    pairs = torch.nn.Conv2d(1, 6, 5), torch.nn.Conv2d(6, 16, 5)
    parameters = [one for pair in pairs for one in (pair.weight, pair.bias)]
    for parameter, weight in zip(parameters, weights, strict=True):
        parameter.data = weight.clone()
    return pairs


def run_pairs(images: torch.Tensor, weights: list[torch.Tensor], seed: int) -> list[torch.Tensor]:
    """Features and the gradients of all weights, for a random gradient of small integers."""
    first, second = make_pairs(weights)
    features = conv_pool_relu_twice(images, first, second)
    generator = torch.Generator().manual_seed(seed)
    gradient = torch.randint(-2, 3, features.shape, generator=generator).to(features.dtype)
    features.backward(gradient)
    parameters = (first.weight, first.bias, second.weight, second.bias)
    return [features.detach(), *(parameter.grad for parameter in parameters)]


@needs_compiler
def test_a_machine_with_a_compiler_uses_it() -> None:
    assert describe_cpu_step().startswith("compiled (g++ ")


@needs_compiler
@settings(max_examples=30, deadline=None, derandomize=True)
@given(side=st.integers(32, 224), n_images=st.integers(1, 5), seed=st.integers(0, 1000))
def test_values_and_gradients_are_those_of_float64(side: int, n_images: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n_images, 1, side, side, generator=generator)
    weights = [torch.rand(shape, generator=generator) * 0.4 - 0.2 for shape in SHAPES]
    ours = run_pairs(images, weights, seed)
    exact = run_pairs(images.double(), [weight.double() for weight in weights], seed)
    for a, b in zip(ours, exact, strict=True):
        assert float((a - b).abs().max()) <= 1e-5 * float(b.abs().max())


@needs_compiler
@settings(max_examples=30, deadline=None, derandomize=True)
@given(side=st.integers(16, 90), n_images=st.integers(1, 70), seed=st.integers(0, 1000))
def test_ties_and_zeros_are_decided_as_torch_does(side: int, n_images: int, seed: int) -> None:
    """With small integers every sum is exact, equals abound, and so does 0 before the ReLU."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 3, (n_images, 1, side, side), generator=generator).float()
    weights = [torch.randint(-1, 2, shape, generator=generator).float() for shape in SHAPES]
    ours = run_pairs(images, weights, seed)
    exact = run_pairs(images.double(), [weight.double() for weight in weights], seed)
    for a, b in zip(ours, exact, strict=True):
        assert torch.equal(a.double(), b)


@needs_compiler
def test_results_do_not_depend_on_threads_nor_on_what_is_kept() -> None:
    torch.manual_seed(0)
    images, weights = torch.rand(70, 1, 45, 45), [torch.rand(shape) - 0.5 for shape in SHAPES]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = run_pairs(images, weights, seed=0)
        torch.set_num_threads(3)
        shared = run_pairs(images, weights, seed=0)
        with torch.no_grad():
            inferred = conv_pool_relu_twice(images, *make_pairs(weights))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))
    assert torch.equal(inferred, alone[0])


@needs_compiler
def test_nan_is_passed_on() -> None:
    images = torch.zeros(3, 1, 40, 40)
    images[1, 0, 20, 20] = images[2, 0, 21, 21] = torch.nan  # in front of others, and behind
    weights = [torch.ones(shape) for shape in SHAPES]
    compiled_nan = torch.isnan(run_pairs(images, weights, seed=0)[0])
    assert torch.equal(compiled_nan, torch.isnan(convpool._apply_torch(images, tuple(weights))))
    assert compiled_nan[1].any()
    assert compiled_nan[2].any()
    assert not compiled_nan[0].any()


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(2, 1, 32, 32, dtype=torch.float64),
        torch.rand(0, 1, 32, 32),
        torch.rand(2, 1, 40, 32),
        torch.rand(2, 1, 32, 32, requires_grad=True),
    ],
    ids=["float64", "no image", "not square", "images that learn"],
)
def test_other_inputs_go_through_torch(images: torch.Tensor) -> None:
    weights = tuple(torch.rand(shape, dtype=images.dtype) for shape in SHAPES)
    assert not convpool.can_compile(images, weights)
    features = conv_pool_relu_twice(images, *make_pairs(list(weights)))
    assert torch.equal(features, convpool._apply_torch(images, weights))


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Nothing is loaded yet, and BPSWEEP_HOME is empty."""
    caches = (compiled.load_compiled, convpool.load_step)
    monkeypatch.setenv("BPSWEEP_HOME", str(tmp_path / "home"))
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_without_a_compiler_torch_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(2, 1, 64, 64)
    network = build_model(ModelConfig("lenet5", image_size=64, n_labels=2, seed=0))
    before = network(images)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    for cached in (compiled.load_compiled, convpool.load_step):
        cached.cache_clear()
    assert describe_cpu_step().startswith("torch (no GNU C++ compiler found: install g++")
    assert torch.allclose(network(images), before, atol=1e-6)


@pytest.mark.usefixtures("forgotten")
def test_the_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.SWITCH, "0")
    assert describe_cpu_step() == f"torch ({compiled.SWITCH}=0)"
    assert not can_use_onednn(torch.rand(2, 40_000), torch.nn.Linear(40_000, 25))


@needs_compiler
@pytest.mark.usefixtures("forgotten")
def test_a_step_that_disagrees_with_torch_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = compiled._SOURCE.read_text(encoding="utf-8")
    assert "value > best" in text
    wrong = tmp_path / "wrong.cpp"
    wrong.write_text(text.replace("value > best", "value < best"), encoding="utf-8")
    monkeypatch.setattr(compiled, "_SOURCE", wrong)
    assert "is wrong by" in describe_cpu_step()
    assert convpool.load_step().library is None


@needs_compiler
def test_processes_that_start_together_build_once(tmp_path: Path) -> None:
    compiler, version = compiled.find_compiler()
    counting = tmp_path / "counting"
    counting.write_text(f'#!/bin/sh\necho x >> {tmp_path}/calls\nexec {compiler} "$@"\n')
    counting.chmod(0o700)
    with ThreadPoolExecutor(4) as pool:
        build = [
            pool.submit(compiled.build_library, str(counting), version, tmp_path / "built")
            for _ in range(4)
        ]
    assert len({one.result() for one in build}) == 1
    assert (tmp_path / "calls").read_text() == "x\n" * 2  # compiled and linked


@needs_compiler
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(compiled.CompileError, match="others can write"):
        compiled.build_library(*compiled.find_compiler(), folder)


@needs_compiler
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86")
@pytest.mark.parametrize(("processor", "n_lanes"), [("x86-64", 4), ("x86-64-v3", 8)])
def test_older_processors_compute_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processor: str, n_lanes: int
) -> None:
    flags = tuple(flag.replace("native", processor) for flag in compiled._FLAGS)
    monkeypatch.setattr(compiled, "_FLAGS", flags)
    path = compiled.build_library(*compiled.find_compiler(), tmp_path / "built")
    library = compiled._open_library(path)
    assert library.vector_lanes() == n_lanes
    assert convpool._measure_error(library) < 1e-5


@pytest.mark.parametrize("needs_inputs", [True, False])
def test_a_large_linear_layer_is_the_one_of_float64(needs_inputs: bool) -> None:
    torch.manual_seed(0)
    layer, exact = torch.nn.Linear(2704, 120), torch.nn.Linear(2704, 120, dtype=torch.float64)
    exact.load_state_dict(layer.state_dict())
    inputs = torch.rand(7, 2704, requires_grad=needs_inputs)
    inputs_exact = inputs.detach().double().requires_grad_(needs_inputs)
    assert can_use_onednn(inputs, layer)
    outputs, outputs_exact = (
        apply_linear(inputs, layer),
        functional.linear(inputs_exact, exact.weight, exact.bias),
    )
    gradient = torch.randn(7, 120)
    outputs.backward(gradient)
    outputs_exact.backward(gradient.double())
    pairs = [(outputs, outputs_exact), (layer.weight.grad, exact.weight.grad)]
    pairs += [(layer.bias.grad, exact.bias.grad)]
    pairs += [(inputs.grad, inputs_exact.grad)] if needs_inputs else []
    for a, b in pairs:
        assert float((a - b).abs().max().detach()) <= 1e-5 * float(b.abs().max().detach())


@needs_compiler
def test_convolutions_and_linear_layer_as_one_step_are_those_of_float64() -> None:
    network = build_model(ModelConfig("lenet5", image_size=64, n_labels=2, seed=0))
    exact = build_model(ModelConfig("lenet5", image_size=64, n_labels=2, seed=0)).double()
    images, labels = torch.rand(5, 1, 64, 64), torch.tensor([0, 1, 1, 0, 1])
    for net, seen in ((network, images), (exact, images.double())):
        logits = net(seen)
        functional.cross_entropy(logits, labels).backward()
    assert trunk_of(network, images).startswith("_Trunk")
    for (name, a), (_, b) in zip(network.named_parameters(), exact.named_parameters(), strict=True):
        error = float((a.grad - b.grad).abs().max())
        assert error <= 1e-5 * float(b.grad.abs().max()), name


def trunk_of(network: torch.nn.Module, images: torch.Tensor) -> str:
    """Return the name of the step that the network's first part is in autograd's graph."""
    return type(apply_trunk(images, network.conv1, network.conv2, network.fc1).grad_fn).__name__
