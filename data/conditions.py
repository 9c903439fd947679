"""What was done to the cells of a plate and a well: damage by condition, light by position."""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.nucleus import Damage, Stain
from bpsweep.data.plates import PLATES

# Mean foci per nucleus by particle, dose and hour: course project on the real set, blob count.
# Absolute numbers are the detector's; only the ratios are used.
FOCI_TABLE: Final = {
    ("Fe", 0.0): {4: 0.34, 24: 0.27, 48: 0.33},
    ("Fe", 0.3): {4: 0.93, 24: 0.56},
    ("Fe", 0.82): {4: 1.44, 24: 0.84, 48: 0.68},
    ("X-ray", 0.0): {4: 0.36, 24: 0.27, 48: 0.25},
    ("X-ray", 0.1): {4: 0.77, 24: 0.53, 48: 0.39},
    ("X-ray", 1.0): {4: 1.80, 24: 0.61, 48: 0.39},
}
_FOCI_SCALE: Final = 6.0  # foci per one of the table: 11 at 1 Gy of X-rays after 4 h
_FOCI_PER_TRACK: Final = 3.0
# A blob detector counts specks as foci, and misses foci that overlap on a track.
_SPECKS_COUNTED: Final = 0.4
_SHARE_COUNTED_ON_TRACKS: Final = 0.68

# How far a plate or well at full effect is from the mean (log-normal sigmas, counts, pixels),
# and the part of it that is common to all plates of a particle: the two were irradiated, stained
# and imaged months apart, at two sites.
_BRIGHTNESS, _HAZE, _OFFSET, _BLUR = 0.30, 0.20, 8.0, 0.5
_CAMPAIGN, _PLATE, _WELL = 0.75, 0.25, 0.5


class Well(NamedTuple):
    """A well of a plate; the same position on the plates of a particle is the same animal."""

    particle: str
    barcode: str
    position: str


def find_damage(particle: str, dose_gy: float, hour: int, radiation_effect: float = 1.0) -> Damage:
    """Mean foci of a condition: X-rays scatter theirs, Fe ions leave rows beyond the sham's.

    With another radiation effect than 1, what radiation adds to the sham is that many times as
    much; the sham cells of both particles are then alike, so that at 0 nothing tells conditions
    apart.
    """
    damage = _find_published(particle, dose_gy, hour)
    if radiation_effect == 1:
        return damage
    sham = {one: _find_published(one, 0.0, hour).n_scattered for one in ("Fe", "X-ray")}
    spontaneous = sum(sham.values()) / 2
    added = radiation_effect * (damage.n_scattered - sham[particle])
    return Damage(spontaneous + added, radiation_effect * damage.n_tracks, damage.n_per_track)


def _find_published(particle: str, dose_gy: float, hour: int) -> Damage:
    in_all = _FOCI_SCALE * FOCI_TABLE[particle, dose_gy][hour]
    if particle == "X-ray":
        return Damage(in_all - _SPECKS_COUNTED)
    spontaneous = _FOCI_SCALE * FOCI_TABLE[particle, 0.0][hour]
    on_tracks = (in_all - spontaneous) / _SHARE_COUNTED_ON_TRACKS
    return Damage(spontaneous - _SPECKS_COUNTED, on_tracks / _FOCI_PER_TRACK, _FOCI_PER_TRACK)


@lru_cache(maxsize=1024)
def draw_stain(well: Well, seed: int, plate_effect: float, well_effect: float) -> Stain:
    """Light of a well on a plate, as far from the neutral as the two effects (0 to 1) let it be."""
    campaign = 1.0 if well.particle == "X-ray" else -1.0
    plate = np.random.default_rng((seed, int(well.barcode))).normal(size=4)
    shift = plate_effect * (_CAMPAIGN * campaign + _PLATE * plate)
    shift += well_effect * _WELL * _draw_positions(well.particle, seed)[well.position]
    return Stain(
        brightness=float(np.exp(_BRIGHTNESS * shift[0])),
        haze=float(np.exp(_HAZE * shift[1])),
        offset=float(_OFFSET * shift[2]),
        blur=float(abs(_BLUR * shift[3])),
    )


@lru_cache(maxsize=64)
def _draw_positions(particle: str, seed: int) -> dict[str, NDArray[np.float64]]:
    """Four normal numbers for every position of a particle, their mean over positions zero.

    Centred, so that without a plate effect nothing tells the particles' sham cells apart but the
    single positions.
    """
    of_particle = [plate.wells.split() for plate in PLATES if plate.particle == particle]
    positions = sorted({well for wells in of_particle for well in wells})
    rng = np.random.default_rng((seed, ord(particle[0])))
    drawn = rng.normal(size=(len(positions), 4))
    return dict(zip(positions, drawn - drawn.mean(axis=0), strict=True))
