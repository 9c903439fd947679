"""LeNet-5 for one-channel square images of any size from 32 to 224 pixels."""

import torch
from torch import nn
from torch.nn import functional

from bpsweep.models.errors import ModelError
from bpsweep.models.trunk import apply_trunk

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 32, 224


class LeNet5(nn.Module):
    """Two convolution-pool pairs and three linear layers (LeCun et al. 1998, with ReLU).

    At 200 x 200 pixels and two labels it is the published network: 4,254,306 parameters.

    Args:
        image_size: Side of the square input in pixels.
        n_labels: Number of outputs.

    Raises:
        ModelError: The image size is outside 32..224.

    References:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document
        recognition, doi 10.1109/5.726791.
    """

    def __init__(self, image_size: int, n_labels: int) -> None:
        super().__init__()
        if not MIN_IMAGE_SIZE <= image_size <= MAX_IMAGE_SIZE:
            raise ModelError(
                f"image_size={image_size!r}: LeNet-5 takes square images of "
                f"{MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels a side."
            )
        side = ((image_size - 4) // 2 - 4) // 2  # 5x5 valid convolution, then 2x2 pooling, twice
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, n_labels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, 1, S, S) float32 to logits (B, n_labels)."""
        x = functional.relu(apply_trunk(images, self.conv1, self.conv2, self.fc1))  # (B, 120)
        x = functional.relu(self.fc2(x))
        return self.fc3(x)  # type: ignore[no-any-return]  # Module.__call__ is untyped
