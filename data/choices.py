"""What can be chosen, by name; known at once, without what carries it out."""

from dataclasses import dataclass
from typing import Final

from bpsweep.data.errors import SyntheticError

TASKS: Final = ("single-label", "multi-label")
SPLITS: Final = ("image", "field", "well", "plate")  # and fold-K-of-N, plate-fold-K-of-N
HOURS: Final = (4, 24, 48)  # after irradiation


@dataclass(frozen=True)
class SyntheticSettings:
    """What a synthetic set is made from; with the format it determines every byte.

    Attributes:
        n_images: cells in all.
        hours: which of 4, 24 and 48 h; each has its plates.
        seed: of everything random.
        plate_effect: 0 to 1, how far plates differ in stain, illumination and offset.
        well_effect: 0 to 1, the same for (particle, well), common to all plates.
        radiation_effect: 0 to 5, times the foci that radiation adds to those of sham cells; at 0
            nothing but plates and wells tells conditions apart.
    """

    n_images: int = 18_000
    hours: tuple[int, ...] = (4,)
    seed: int = 0
    plate_effect: float = 0.5
    well_effect: float = 0.3
    radiation_effect: float = 1.0

    def __post_init__(self) -> None:
        """Raise SyntheticError for a value that is not allowed."""
        if self.n_images < 1 or self.seed < 0:
            raise SyntheticError(
                f"n_images {self.n_images!r} and seed {self.seed!r} must be at least 1 and 0"
            )
        if not self.hours or not set(self.hours) <= set(HOURS):
            raise SyntheticError(f"hours {self.hours!r} are not among {', '.join(map(str, HOURS))}")
        greatest = {"plate_effect": 1, "well_effect": 1, "radiation_effect": 5}
        for name, most in greatest.items():
            if not 0 <= getattr(self, name) <= most:
                raise SyntheticError(f"{name} {getattr(self, name)!r} is not between 0 and {most}")
