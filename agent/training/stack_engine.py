"""One epoch of learning and one of prediction for a stack of runs."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.engine import build_network, is_exclusive, split_state
from bpsweep.agent.training.protocol import State, Weights
from bpsweep.agent.training.stack_batches import Plan, ResidentBatches, StackBatch, StackBatches
from bpsweep.data.loader import Loader
from bpsweep.models.adam import SeparateAdams
from bpsweep.models.gpu import can_use_kernels, load_gpu_step
from bpsweep.models.stacked import Stack

if TYPE_CHECKING:
    from bpsweep.models.gpu_adam import StackedAdam

GRAPHS = "BPSWEEP_CUDA_GRAPHS"
"""The variable that, set to 0, has a GPU's steps launched kernel by kernel."""
N_EAGER = 3
"""Steps before one is recorded: libraries choose their kernels and take their memory."""
MAX_IMAGES = 1024
"""Images times members predicted at once."""


class StackEngine:
    """Networks that differ in learning rate, weight decay and seed, trained as one.

    Args:
        configs: The runs' settings, equal but for these and the number of epochs.
        n_labels: Number of labels L of the task.
        training: The training part; the MLPs standardise pixels by its statistics.
        device: Where to train.
        dtype: Of weights; float64 is for tests.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        n_labels: int,
        training: Loader,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._configs = list(configs)
        self._exclusive = is_exclusive(configs[0])
        models = [build_network(config, n_labels, training) for config in configs]
        assert all(isinstance(model, nn.Module) for model in models)
        self._stack = Stack(models).to(device, dtype)
        self._device = device
        self._adam = self._build_adam()
        self._recorded: RecordedStep | None = None
        self._record = record_graph if uses_graphs(device) else None

    def __len__(self) -> int:
        """Members."""
        return len(self._configs)

    def _build_adam(self) -> "SeparateAdams | StackedAdam":
        """Build what changes the weights: all members at once where our kernels run."""
        weights = list(self._stack.weights.values())
        kernels = load_gpu_step().kernels if can_use_kernels(weights[0]) else None
        rates = [config.learning_rate for config in self._configs]
        decays = [config.weight_decay for config in self._configs]
        return (kernels.adam if kernels else SeparateAdams)(weights, rates, decays)

    def keep(self, members: Sequence[int]) -> None:
        """Leave out all members but these, which go on as if nothing had happened."""
        self._stack.keep(members)
        self._configs = [self._configs[k] for k in members]
        self._adam.keep(members, list(self._stack.weights.values()))
        self._recorded = None

    def fit_epoch(
        self, batches: StackBatches, index: int, check: Callable[[], None] = lambda: None
    ) -> NDArray[np.float64]:
        """Learn from every batch once; return each member's mean training loss, (K,).

        Args:
            batches: The training part.
            index: Which epoch.
            check: Called before every batch; it may raise.
        """
        sums = torch.zeros(len(self), dtype=torch.float64, device=self._device)
        n_images = 0
        for n_now in self._step_through(batches, index, sums):
            check()
            n_images += n_now
        return (sums / n_images).cpu().numpy()

    def _step_through(self, batches: StackBatches, index: int, sums: torch.Tensor) -> Iterator[int]:
        """Take a step for every batch, adding to the sums of losses; give its number of images."""
        if self._record is None or not isinstance(batches, ResidentBatches):
            for batch in batches.epoch(index):
                self._step(batch, sums)
                yield batch.images.shape[1]
            return
        for i, plan in enumerate(batches.plan(index).cut()):
            if plan.rows.shape[1] < plan.batch_size or (self._recorded is None and i < N_EAGER):
                self._step(batches.gather(plan), sums)
            else:
                if self._recorded is None:
                    self._recorded = RecordedStep(
                        self._step, batches, plan, len(self), self._record
                    )
                self._recorded.replay(plan, sums)
            yield plan.rows.shape[1]

    def _step(self, batch: StackBatch, sums: torch.Tensor) -> None:
        losses = self._losses(batch)  # (K,)
        gradients = torch.autograd.grad(losses.sum(), list(self._stack.weights.values()))
        # An optimiser goes through memory: a gradient's must be in its weight's order.
        self._adam.step([gradient.contiguous() for gradient in gradients])
        sums.add_(losses.detach(), alpha=batch.images.shape[1])

    def _losses(self, batch: StackBatch) -> torch.Tensor:
        logits = self._stack(batch.images)  # (K, B, L)
        labels = batch.labels.expand_as(logits)
        if self._exclusive:
            flat = functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(0, 1), reduction="none"
            )
            return flat.view(logits.shape[:2]).mean(dim=1)
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return each.mean(dim=(1, 2))

    @torch.no_grad()
    def predict(self, batches: StackBatches) -> NDArray[np.float32]:
        """Return each member's probabilities (K, N, L) in [0, 1], in the order of the batches."""
        n_now = max(16, MAX_IMAGES // len(self))
        logits = torch.cat(
            [
                self._stack(part)
                for batch in batches.epoch(0)
                for part in torch.split(batch.images, n_now, dim=1)
            ],
            dim=1,
        )
        probabilities = logits.softmax(dim=2) if self._exclusive else logits.sigmoid()
        found: NDArray[np.float32] = probabilities.float().cpu().numpy()
        return found

    def state(self, member: int) -> State:
        """Return a copy of all that a member's next epoch goes on from."""
        weights = {f"weights/{name}": value for name, value in self.weights(member).items()}
        moments = {f"adam/{name}": value for name, value in self._adam.state(member).items()}
        return {**weights, **moments}

    def restore(self, member: int, state: State) -> None:
        """Have a member go on from a state; all must have taken as many steps.

        Raises:
            KeyError, RuntimeError: It is not of this model.
        """
        parts = split_state(state)
        weights = {name: torch.from_numpy(value) for name, value in parts["weights"].items()}
        self._stack.restore(member, weights)
        self._adam.restore(member, parts["adam"])

    def weights(self, member: int) -> Weights:
        """Return a copy of a member's parameters and buffers by name."""
        own = self._stack.member(member)
        return {name: value.cpu().numpy().copy() for name, value in own.items()}


def uses_graphs(device: torch.device) -> bool:
    """Tell whether steps are recorded there."""
    return device.type == "cuda" and os.environ.get(GRAPHS) != "0"


def record_graph(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Record what some work launches as a CUDA graph, without doing it; return what does it."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize(device)
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], None] = graph.replay
    return replay


class RecordedStep:
    """A step that is launched as a whole: the host says "again" and names the images, that is all.

    Args:
        step: Takes a step on a batch, adding to sums of losses.
        batches: Gathers a batch on the device.
        plan: One of the batches to come, for its shape; it is not learnt from here.
        n_members: Number of sums.
        record: Takes the step's work, returns what does it again.
    """

    def __init__(
        self,
        step: Callable[[StackBatch, torch.Tensor], None],
        batches: ResidentBatches,
        plan: Plan,
        n_members: int,
        record: Callable[[Callable[[], None], torch.device], Callable[[], None]],
    ) -> None:
        moves = None if plan.moves is None else plan.moves.clone()
        self._plan = Plan(plan.rows.clone(), moves, plan.batch_size)
        device = plan.rows.device
        self._sums = torch.zeros(n_members, dtype=torch.float64, device=device)

        def work() -> None:
            self._sums.zero_()
            step(batches.gather(self._plan), self._sums)

        self._replay = record(work, device)

    def replay(self, plan: Plan, sums: torch.Tensor) -> None:
        """Take a step on the batch of a plan of the recorded shape."""
        self._plan.rows.copy_(plan.rows)
        if self._plan.moves is not None and plan.moves is not None:
            self._plan.moves.copy_(plan.moves)
        self._replay()
        sums.add_(self._sums)
