"""One fluorescent nucleus as a camera sees it: 53BP1 in a mouse fibroblast, FITC channel.

Lengths are in pixels of 0.16 um, intensities in camera counts. Gain, offset, noise, background,
brightness and the profile of a focus are read off the one real image (plate P242).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float32]

UM_PER_PIXEL: Final = 0.16
_OFFSET, _GAIN, _READ_NOISE = 240.0, 1.3, 4.0  # counts, counts per electron, counts
_HAZE, _HAZE_SPREAD = 105.0, 0.25  # median counts of light between the nuclei, log-normal sigma
_BRIGHTNESS, _BRIGHTNESS_SPREAD = 480.0, 0.30  # median counts of a nucleus, log-normal sigma
_DIAMETER, _DIAMETER_SPREAD = 92.0, 0.22  # median pixels, log-normal sigma
_MIN_SIDE, _MAX_SIDE = 60, 280  # of the published images
_PSF_SIGMA: Final = 0.9  # a Gaussian of the Airy disc's width, 0.33 um at half maximum
_FOCUS_SIGMA, _FOCUS_SIGMA_SPREAD = 1.7, 0.25  # median, log-normal sigma
_FOCUS_HEIGHT, _FOCUS_HEIGHT_SPREAD = 1.9, 0.40  # times the nucleus, log-normal sigma
_ION_FOCUS_WIDTH: Final = 1.2  # foci of dense damage are wider
_P_BLURRED, _P_EMPTY, _P_NEIGHBOUR = 0.03, 0.01, 0.35


@dataclass(frozen=True)
class Damage:
    """What radiation left in a nucleus of mean area.

    Attributes:
        n_scattered: mean number of foci at random places.
        n_tracks: mean number of ion tracks that left foci.
        n_per_track: mean number of foci on such a track, at least 1.
    """

    n_scattered: float
    n_tracks: float = 0.0
    n_per_track: float = 1.0


@dataclass(frozen=True)
class Stain:
    """How plate and well change the light; the neutral values change nothing.

    Attributes:
        brightness: times the 53BP1 signal.
        haze: times the light between the nuclei.
        offset: counts added.
        blur: pixels of defocus (sigma) common to all.
    """

    brightness: float = 1.0
    haze: float = 1.0
    offset: float = 0.0
    blur: float = 0.0


@dataclass
class Textures:
    """Random fields from which every nucleus cuts its own piece; (SIDE, SIDE), mean 0, sd 1."""

    seed: int
    coarse: Floats = field(init=False)
    fine: Floats = field(init=False)

    SIDE = 1024

    def __post_init__(self) -> None:
        rng = np.random.default_rng((self.seed, 1))
        shape = (self.SIDE, self.SIDE)
        self.coarse = _standardise(gaussian_filter(rng.standard_normal(shape), 6, mode="wrap"))
        # Small bright specks: the tail of a band-passed field, as wide as the point spread.
        specks = gaussian_filter(rng.standard_normal(shape), 1.1, mode="wrap")
        specks -= gaussian_filter(specks, 4, mode="wrap")
        self.fine = _standardise(np.clip(specks / specks.std() - 1.2, 0, None))

    def cut(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
        """A piece of either field from one random place."""
        top, left = rng.integers(0, self.SIDE - _MAX_SIDE, size=2)
        window = np.s_[top : top + shape[0], left : left + shape[1]]
        return self.coarse[window], self.fine[window]


@dataclass(frozen=True)
class _Ellipse:
    """A nucleus's outline: centre and semi-axes (pixels), turn (radians), four bulges."""

    y: float
    x: float
    long: float
    short: float
    turn: float
    bulges: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def half_sides(self) -> tuple[float, float]:
        """Half the height and width of the bounding box."""
        sin, cos = np.sin(self.turn), np.cos(self.turn)
        return (
            float(np.hypot(self.long * sin, self.short * cos)),
            float(np.hypot(self.long * cos, self.short * sin)),
        )

    def radius_squared(self, shape: tuple[int, int]) -> Floats:
        """(Y, X) squared distance from the centre, 1 on the outline."""
        sin, cos = np.sin(self.turn), np.cos(self.turn)
        down = (np.arange(shape[0], dtype=np.float32) - np.float32(self.y))[:, None]
        right = (np.arange(shape[1], dtype=np.float32) - np.float32(self.x))[None, :]
        u = right * np.float32(cos / self.long) + down * np.float32(sin / self.long)
        v = down * np.float32(cos / self.short) - right * np.float32(sin / self.short)
        uu, vv = u * u, v * v
        a, b, c, d = (np.float32(bulge) for bulge in self.bulges)
        squared: Floats = uu + vv + u * (a * uu + b * vv) + v * (c * uu + d * vv)
        return squared

    def place(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) pixel rows and columns of points of the unit disc."""
        sin, cos = np.sin(self.turn), np.cos(self.turn)
        along, across = u * self.long, v * self.short
        return np.stack(
            [self.y + along * sin + across * cos, self.x + along * cos - across * sin], axis=1
        )


def render_nucleus(
    damage: Damage, stain: Stain, textures: Textures, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """The maximum projection of one nucleus with its foci, background, neighbours and noise.

    Returns:
        (Y, X) uint16 counts, 60 to 280 pixels a side.
    """
    outline, shape = _draw_outline(rng)
    brightness = _BRIGHTNESS * rng.lognormal(0, _BRIGHTNESS_SPREAD) * stain.brightness
    defocus = stain.blur + (rng.uniform(2, 6) if rng.random() < _P_BLURRED else 0.0)
    if rng.random() < _P_EMPTY:
        brightness *= 0.05
    nucleoplasm = _render_nucleoplasm(outline, shape, textures, defocus, rng)
    foci = _render_foci(_draw_foci(damage, outline, rng), shape, defocus, rng)
    signal = nucleoplasm + foci
    if rng.random() < _P_NEIGHBOUR:
        signal += _render_neighbour(outline, shape, rng)
    haze = _HAZE * rng.lognormal(0, _HAZE_SPREAD) * stain.haze
    tilt = np.linspace(-1, 1, shape[1], dtype=np.float32) * np.float32(rng.normal(0, 0.05))
    photons = signal * np.float32(brightness) + np.float32(haze) * (1 + tilt)
    noise = rng.standard_normal(shape, dtype=np.float32)
    # Poisson noise of at least 80 electrons is Gaussian; the variance in counts is gain * counts.
    noise *= np.sqrt(_GAIN * photons + _READ_NOISE**2)
    counts = photons + noise + np.float32(_OFFSET + stain.offset + 0.5)
    pixels: NDArray[np.uint16] = np.clip(counts, 0, 65535).astype(np.uint16)
    return pixels


def _draw_outline(rng: np.random.Generator) -> tuple[_Ellipse, tuple[int, int]]:
    diameter = _DIAMETER * rng.lognormal(0, _DIAMETER_SPREAD)
    aspect = rng.uniform(0.62, 1.0)
    long, short = diameter / 2 / np.sqrt(aspect), diameter / 2 * np.sqrt(aspect)
    bulges = tuple(rng.normal(0, 0.08, 4))
    at_origin = _Ellipse(0, 0, long, short, rng.uniform(0, np.pi), bulges)
    sides = []
    centre = []
    for half in at_origin.half_sides:
        before, after = rng.uniform(6, 28, 2)
        sides.append(int(np.clip(round(2 * half + before + after), _MIN_SIDE, _MAX_SIDE)))
        centre.append(half + before)
    outline = _Ellipse(centre[0], centre[1], long, short, at_origin.turn, bulges)
    return outline, (sides[0], sides[1])


def _render_nucleoplasm(
    outline: _Ellipse,
    shape: tuple[int, int],
    textures: Textures,
    defocus: float,
    rng: np.random.Generator,
) -> Floats:
    """(Y, X) diffuse 53BP1, about 1 in the middle, with specks and without the nucleoli."""
    squared = outline.radius_squared(shape)
    dome = _dome(squared, rng.uniform(0.03, 0.10) + 0.04 * defocus)
    coarse, fine = textures.cut(shape, rng)
    focused = 1 / (1 + defocus)
    texture = 1 + np.float32(0.06) * coarse + np.float32(rng.uniform(0.03, 0.10) * focused) * fine
    n_nucleoli = int(rng.integers(1, 5))
    places = outline.place(*_draw_disc(n_nucleoli, 0.6, rng))
    sigmas = rng.uniform(3, 8, n_nucleoli) + defocus
    texture -= _render_spots(places, sigmas, rng.uniform(0.03, 0.35, n_nucleoli), shape)
    return dome * np.maximum(texture, np.float32(0.2))


def _dome(squared: Floats, softness: float) -> Floats:
    """Light by squared radius: thick in the middle, a soft edge, a halo of scattered light."""
    # The bound keeps the exponential finite in float32; it is dark there long before.
    edge = 1 / (1 + np.exp(np.minimum((squared - 1) * np.float32(0.5 / softness), 80)))
    light: Floats = (np.float32(0.92) - np.float32(0.34) * np.minimum(squared, 1)) * edge
    light += np.float32(0.1) * np.exp(np.float32(-0.9) * squared)
    return light


def _render_neighbour(
    outline: _Ellipse, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """(Y, X) a nucleus that is cut by the edge, out of focus, brighter or darker."""
    angle = rng.uniform(0, 2 * np.pi)
    long = outline.long * rng.uniform(0.8, 1.1)
    short = long * rng.uniform(0.7, 1.0)
    distance = rng.uniform(0.95, 1.2)
    other = _Ellipse(
        outline.y + distance * np.sin(angle) * (outline.half_sides[0] + long),
        outline.x + distance * np.cos(angle) * (outline.half_sides[1] + long),
        long,
        short,
        rng.uniform(0, np.pi),
    )
    return np.float32(rng.lognormal(-0.2, 0.4)) * _dome(other.radius_squared(shape), 0.15)


@dataclass(frozen=True)
class _Foci:
    """Places (n, 2) in pixels, and for each whether it lies on an ion's track."""

    places: NDArray[np.float64]
    on_track: NDArray[np.bool_]


def _draw_foci(damage: Damage, outline: _Ellipse, rng: np.random.Generator) -> _Foci:
    """Scattered foci by nucleus area; ions by area too, each with a row of foci along its track."""
    area = 4 * outline.long * outline.short / _DIAMETER**2
    n_scattered = rng.poisson(damage.n_scattered * area)
    points = [outline.place(*_draw_disc(n_scattered, 0.85, rng))]
    direction = rng.uniform(0, np.pi)  # the beam's, the same for all ions of an image
    for _ in range(rng.poisson(damage.n_tracks * area)):
        n_foci = 1 + rng.poisson(damage.n_per_track - 1)
        row = _draw_row(n_foci, outline, direction, rng)
        points.append(row + rng.normal(0, 0.8, row.shape))
    places = np.concatenate(points)
    return _Foci(places, np.arange(len(places)) >= n_scattered)


def _draw_row(
    n: int, outline: _Ellipse, direction: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(n, 2) places on one ion's way through the nucleus, a little over a micrometre apart."""
    (u,), (v,) = _draw_disc(1, 0.75, rng)
    turn = direction - outline.turn
    du, dv = np.cos(turn) / outline.long, np.sin(turn) / outline.short  # a pixel along the track
    # Where the track enters and leaves: |(u, v) + t (du, dv)| = 0.9.
    a, b, c = du**2 + dv**2, u * du + v * dv, u**2 + v**2 - 0.9**2
    reach = np.sqrt(b**2 - a * c) / a
    enters, leaves = -b / a - reach, -b / a + reach
    along = np.cumsum(rng.gamma(4, 8.0 / 4, n))
    along *= min(1.0, (leaves - enters) / along[-1])
    along += np.clip(-along.mean(), enters, leaves - along[-1])
    return outline.place(u + along * du, v + along * dv)


def _draw_disc(
    n: int, radius: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points spread evenly over a disc."""
    angle = rng.uniform(0, 2 * np.pi, n)
    distance = radius * np.sqrt(rng.uniform(0, 1, n))
    return distance * np.cos(angle), distance * np.sin(angle)


def _render_foci(
    foci: _Foci, shape: tuple[int, int], defocus: float, rng: np.random.Generator
) -> Floats:
    """(Y, X) foci as Gaussian spots; one out of the focal plane is wider and lower."""
    n = len(foci.places)
    size = _FOCUS_SIGMA * rng.lognormal(0, _FOCUS_SIGMA_SPREAD, n)
    size *= np.where(foci.on_track, _ION_FOCUS_WIDTH, 1.0)
    sharp = np.hypot(size, _PSF_SIGMA)
    # A nine-slice projection leaves every focus near some slice's plane.
    sigma = np.hypot(sharp, np.abs(rng.normal(0, 0.6, n)) + defocus)
    height = _FOCUS_HEIGHT * rng.lognormal(0, _FOCUS_HEIGHT_SPREAD, n) * (sharp / sigma) ** 2
    return _render_spots(foci.places, sigma, height, shape)


def _render_spots(
    places: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    heights: NDArray[np.float64],
    shape: tuple[int, int],
) -> Floats:
    """(Y, X) sum of round Gaussians, as one product of their row and column profiles."""
    profiles = []
    for axis in (0, 1):
        offset = np.arange(shape[axis])[None, :] - places[:, axis, None]
        profiles.append(np.exp(-0.5 * (offset / sigmas[:, None]) ** 2).astype(np.float32))
    product: Floats = (profiles[0] * heights[:, None].astype(np.float32)).T @ profiles[1]
    return product


def _standardise(values: NDArray[np.float64]) -> Floats:
    standard: Floats = ((values - values.mean()) / values.std()).astype(np.float32)
    return standard
