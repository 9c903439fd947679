"""A training step of LeNet-5, ours against plain eager torch, and the share of the peak reached.

    python benchmarks/step.py [--turns 5] [--quick]

Batch 64, float32, as many threads as cores: forward, cross-entropy, backward, Adam. The plain step
is the network as textbooks write it (convolution, ReLU, pool), `torch.optim.Adam` as it comes and
malloc as it comes. Each side has a process of its own; a turn is the median of some steps.
The peak is the best float32 matrix product of 2048 x 2048 by oneDNN in the same turns. The share
counts what a dense step would compute, of which our backward pass leaves out what pooling and ReLU
stop.
"""

import argparse

import numpy as np
import torch
from compare import Row, Side, current_load, divide, run_benchmark, show, take_turns, time_call
from torch import nn
from torch.nn import functional

from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.folders import count_cpus
from bpsweep.models import ModelConfig, build_model

BATCH_SIZE = 64
WANTED = {200: 6.0, 128: 3.8, 64: 2.8}
_N_STEPS = {200: 5, 128: 10, 64: 30}
_PEAK_SIZE = 2048

_steps: dict[int, "Step"] = {}


class PlainLeNet5(nn.Module):
    """The published network as written there: ReLU after each convolution, then the pool."""

    def __init__(self, image_size: int, n_labels: int) -> None:
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, n_labels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, 1, S, S) to logits (B, L)."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.flatten(1)))
        return self.fc3(functional.relu(self.fc2(x)))


class Step:
    """A network, its optimiser and one batch."""

    def __init__(self, image_size: int, plain: bool) -> None:
        torch.manual_seed(0)
        ours = ModelConfig("lenet5", image_size, n_labels=2, seed=0)
        self.model = PlainLeNet5(image_size, 2) if plain else build_model(ours)
        fused = {} if plain else {"fused": True}
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-4, **fused)
        self.images = torch.rand(BATCH_SIZE, 1, image_size, image_size)
        self.labels = torch.randint(0, 2, (BATCH_SIZE,))

    def take(self) -> None:
        """Learn from the batch once."""
        loss = functional.cross_entropy(self.model(self.images), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()


def prepare(plain: bool, sizes: list[int]) -> None:
    """Set up a side: its threads, its memory, a network for each size, warm."""
    torch.set_num_threads(count_cpus())
    if not plain:
        keep_freed_memory()
    for size in sizes:
        _steps[size] = Step(size, plain)
        for _ in range(3):
            _steps[size].take()


def measure_step(size: int) -> float:
    """The median of some steps, in seconds."""
    return float(np.median([time_call(_steps[size].take) for _ in range(_N_STEPS[size])]))


def measure_peak() -> float:
    """The best rate of a matrix product, in float32 operations a second."""
    a, b = torch.rand(_PEAK_SIZE, _PEAK_SIZE), torch.rand(_PEAK_SIZE, _PEAK_SIZE)
    with torch.no_grad():
        best_s = min(
            time_call(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
            for _ in range(5)
        )
    return 2 * _PEAK_SIZE**3 / best_s


def count_operations(size: int) -> float:
    """Multiplications and additions of a dense training step for one image."""
    first = (size - 4) // 2
    second = (first - 4) // 2
    conv1 = 2 * (2 * first) ** 2 * 25 * 6
    conv2 = 2 * (2 * second) ** 2 * 150 * 16
    linear = 2 * (16 * second**2 * 120 + 120 * 84 + 84 * 2)
    return 2 * conv1 + 3 * conv2 + 3 * linear  # images need no gradient


def measure(arguments: argparse.Namespace) -> list[Row]:
    """Measure every size."""
    sizes = [64] if arguments.quick else list(WANTED)
    ours, plain = Side(prepare, False, sizes), Side(prepare, True, sizes)
    rows = []
    for size in sizes:
        load = current_load()
        turns = take_turns(
            {
                "ours": lambda size=size: ours.call(measure_step, size),
                "plain": lambda size=size: plain.call(measure_step, size),
                "peak": lambda: ours.call(measure_peak),
            },
            arguments.turns,
        )
        times = {name: float(np.median(values)) for name, values in turns.items()}
        rates = {name: BATCH_SIZE / times[name] for name in ("ours", "plain")}
        share = rates["ours"] * count_operations(size) / times["peak"]
        numbers = (
            f"{rates['ours']:,.0f} against {rates['plain']:,.0f} images/s; {share:.0%} of the "
            f"float32 matrix peak ({times['peak'] / 1e9:.0f} GFLOP/s)"
        )
        rows.append(
            Row(
                f"LeNet-5 training step, {size} px, batch {BATCH_SIZE}",
                "plain eager torch, same threads",
                f">= {WANTED[size]:g}",
                divide(turns["plain"], turns["ours"]),
                numbers,
                load,
            )
        )
        show(rows[-1].describe())
    ours.close()
    plain.close()
    return rows


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch")
