"""Adam by torch's fused kernel, without `torch.optim`, whose import costs a second and 66 MB."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

DECAYS, EPSILON = (0.9, 0.999), 1e-8


class FusedAdam:
    """The steps of `torch.optim.Adam(parameters, fused=True)`, bit by bit.

    `torch.optim.Adam` loads torch's compiler when it is first made, which no run here uses.

    Args:
        parameters: What learns, float32 or float64, all on one device.
        learning_rate: Of every step.
        weight_decay: L2 coefficient added to the gradient.

    References:
        D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, arXiv:1412.6980.
    """

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        learning_rate: float,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters: list[torch.Tensor] = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(one) for one in self.parameters]
        self._squares = [torch.zeros_like(one) for one in self.parameters]
        self._steps = [torch.zeros((), device=one.device) for one in self.parameters]

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of moments and step count, by name."""
        moments = {"mean": self._means, "square": self._squares, "step": self._steps}
        return {
            f"{name}/{i}": one.cpu().numpy().copy()
            for name, ones in moments.items()
            for i, one in enumerate(ones)
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Go on from a state.

        Raises:
            KeyError, RuntimeError: It is not of these parameters.
        """
        moments = {"mean": self._means, "square": self._squares, "step": self._steps}
        for name, ones in moments.items():
            for i, one in enumerate(ones):
                one.copy_(torch.from_numpy(state[f"{name}/{i}"]))

    def move(self, parameters: Iterable[torch.Tensor]) -> None:
        """Go on with the same parameters in another place."""
        self.parameters = list(parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter by its gradient; all must have one."""
        gradients = [one.grad for one in self.parameters if one.grad is not None]
        assert len(gradients) == len(self.parameters)
        torch._foreach_add_(self._steps, 1)
        torch._fused_adam_(
            self.parameters,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            lr=self._learning_rate,
            beta1=DECAYS[0],
            beta2=DECAYS[1],
            weight_decay=self._weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )


class SeparateAdams:
    """Adam for the weights of K models, each with a learning rate of its own, model by model.

    Args:
        weights: (K, ...) each.
        learning_rates, weight_decays: One for each model.
    """

    def __init__(
        self,
        weights: Sequence[torch.Tensor],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
    ) -> None:
        self._weights = list(weights)
        self._adams = [
            FusedAdam(self._views(k), rate, decay)
            for k, (rate, decay) in enumerate(zip(learning_rates, weight_decays, strict=True))
        ]

    def _views(self, model: int) -> list[torch.Tensor]:
        return [weight.detach()[model] for weight in self._weights]

    def keep(self, models: Sequence[int], weights: Sequence[torch.Tensor]) -> None:
        """Leave out all models but these, whose weights are now elsewhere."""
        self._weights = list(weights)
        self._adams = [self._adams[k] for k in models]
        for k, adam in enumerate(self._adams):
            adam.move(self._views(k))

    def state(self, model: int) -> dict[str, NDArray[np.float32]]:
        """Return a copy of a model's moments and step count, by name."""
        return self._adams[model].state()

    def restore(self, model: int, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Have a model go on from a state."""
        self._adams[model].restore(state)

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Change every weight by its gradient (K, ...), contiguous: the kernel goes by memory."""
        for k, adam in enumerate(self._adams):
            for view, gradient in zip(adam.parameters, gradients, strict=True):
                view.grad = gradient[k]
            adam.step()
