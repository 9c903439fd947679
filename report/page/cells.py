"""Pictures of single cells for the page: right, wrong, and where the winner looked."""

from dataclasses import dataclass
from typing import Final, Literal

CellGroup = Literal["right", "wrong", "confident mistake"]
GROUP_TITLES: Final[dict[CellGroup, str]] = {
    "right": "Taken for what they are",
    "wrong": "Taken for something else",
    "confident mistake": "The most confident mistakes",
}
"""The groups in the order of the page."""


@dataclass(frozen=True)
class CellPicture:
    """One validation cell as the winner saw it.

    Args:
        group: Why it is shown.
        condition: Its true condition, "Fe, 0.82 Gy".
        taken_for: What the winner took it for.
        confidence: How sure it was, in [0, 1].
        place: Plate and well, "P242 A6".
        image_png: The cell, PNG, at most 200 pixels a side.
        saliency_png: The same with what the winner looked at laid over it; None where not made.
    """

    group: CellGroup
    condition: str
    taken_for: str
    confidence: float
    place: str
    image_png: bytes
    saliency_png: bytes | None = None
