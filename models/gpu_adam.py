"""Adam for K models at once on a CUDA GPU, each with a learning rate of its own, as one kernel."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from bpsweep.models.adam import DECAYS, EPSILON


@triton.jit
def _adam(
    w, g, means, squares, rates, decays, corrections, n,
    beta1: tl.constexpr, beta2: tl.constexpr, epsilon: tl.constexpr, n_block: tl.constexpr,
):  # fmt: skip
    """One Adam step of some weights of one model."""
    model = tl.program_id(1)
    at = tl.program_id(0) * n_block + tl.arange(0, n_block)
    some = at < n
    at = model.to(tl.int64) * n + at
    value = tl.load(w + at, mask=some, other=0.0)
    gradient = tl.load(g + at, mask=some, other=0.0) + tl.load(decays + model) * value
    mean = tl.load(means + at, mask=some, other=0.0)
    square = tl.load(squares + at, mask=some, other=0.0)
    mean += (1 - beta1) * (gradient - mean)
    square = beta2 * square + (1 - beta2) * gradient * gradient
    root = tl.sqrt(square) / tl.sqrt(tl.load(corrections + 1)) + epsilon
    value -= tl.load(rates + model) / tl.load(corrections) * mean / root
    tl.store(w + at, value, mask=some)
    tl.store(means + at, mean, mask=some)
    tl.store(squares + at, square, mask=some)


class StackedAdam:
    """Adam for the weights of K models, each with a learning rate and weight decay of its own.

    Args:
        weights: (K, ...) float32, contiguous.
        learning_rates, weight_decays: One for each model.

    References:
        D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, arXiv:1412.6980.
    """

    def __init__(
        self,
        weights: Sequence[torch.Tensor],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
    ) -> None:
        device = weights[0].device
        self._weights = list(weights)
        self._means = [torch.zeros_like(one) for one in weights]
        self._squares = [torch.zeros_like(one) for one in weights]
        self._rates = torch.tensor(list(learning_rates), device=device)
        self._decays = torch.tensor(list(weight_decays), device=device)
        self._betas = torch.tensor(DECAYS, dtype=torch.float64, device=device)
        self._n_steps = torch.zeros((), dtype=torch.float64, device=device)

    def keep(self, models: Sequence[int], weights: Sequence[torch.Tensor]) -> None:
        """Leave out all models but these, whose weights are now elsewhere."""
        self._weights = list(weights)
        chosen = list(models)
        self._means = [one[chosen] for one in self._means]
        self._squares = [one[chosen] for one in self._squares]
        self._rates, self._decays = self._rates[chosen], self._decays[chosen]

    def state(self, model: int) -> dict[str, NDArray[np.float32]]:
        """Return a copy of a model's moments and step count, by name as FusedAdam's."""
        state = {}
        step = self._n_steps.cpu().numpy().astype(np.float32)
        for i, (mean, square) in enumerate(zip(self._means, self._squares, strict=True)):
            state[f"mean/{i}"] = mean[model].cpu().numpy()
            state[f"square/{i}"] = square[model].cpu().numpy()
            state[f"step/{i}"] = step
        return state

    @torch.no_grad()
    def restore(self, model: int, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Have a model go on from a state; all models of a stack must have taken as many steps."""
        for i, (mean, square) in enumerate(zip(self._means, self._squares, strict=True)):
            mean[model].copy_(torch.from_numpy(state[f"mean/{i}"]))
            square[model].copy_(torch.from_numpy(state[f"square/{i}"]))
        self._n_steps.fill_(float(state["step/0"]))

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Change every weight by its gradient (K, ...), contiguous."""
        self._n_steps.add_(1)
        corrections = (1 - self._betas**self._n_steps).float()
        for i, (weight, gradient) in enumerate(zip(self._weights, gradients, strict=True)):
            n_each = weight[0].numel()
            _adam[(triton.cdiv(n_each, 1024), len(weight))](
                weight, gradient, self._means[i], self._squares[i],
                self._rates, self._decays, corrections, n_each,
                beta1=DECAYS[0], beta2=DECAYS[1], epsilon=EPSILON, n_block=1024,
            )  # fmt: skip
