"""Adam by torch's fused kernel, without `torch.optim`, whose import costs a second and 66 MB."""

from collections.abc import Iterable

import torch

_DECAYS, _EPSILON = (0.9, 0.999), 1e-8


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
        self._parameters: list[torch.Tensor] = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(one) for one in self._parameters]
        self._squares = [torch.zeros_like(one) for one in self._parameters]
        self._steps = [torch.zeros((), device=one.device) for one in self._parameters]

    def move(self, parameters: Iterable[torch.Tensor]) -> None:
        """Go on with the same parameters in another place."""
        self._parameters = list(parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter by its gradient; all must have one."""
        gradients = [one.grad for one in self._parameters if one.grad is not None]
        assert len(gradients) == len(self._parameters)
        torch._foreach_add_(self._steps, 1)
        torch._fused_adam_(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            lr=self._learning_rate,
            beta1=_DECAYS[0],
            beta2=_DECAYS[1],
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )
