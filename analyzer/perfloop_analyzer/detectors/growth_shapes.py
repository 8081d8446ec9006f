"""The shapes that growth may have and the noises around it, prepared for every series of a length.

Shapes are linear in their coefficients: a line; an exponential c + b exp(a t), which saturates for a < 0 and gathers
speed for a > 0, then with a line beside it or not; a parabola; what is flat, or a line, and begins to grow at one of
several moments, so that a leak of yesterday is not averaged with a quiet week; and, in histories that are too short to
show that days recur, a line with a day's first two harmonics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

PHIS = (0.5, 0.8, 0.9, 0.95)
NOISES = (
    (0.0, 0.0),
    *((phi, -share * phi) for phi in PHIS for share in (0.0, 0.5, 0.8)),
    *((1.0, theta) for theta in (0.0, -0.3, -0.5, -0.65, -0.75, -0.82, -0.88, -0.92, -0.95)),
)
# Of the exponentials, per length of the series: three to an octave, from a half to eight.
RATES = tuple(float(sign * 8 / 2 ** (place / 3)) for sign in (-1, 1) for place in range(13))
BENT = ("onset", "restart")
RATIO = 2.0**0.25  # between the ages of two bends
YOUNGEST = 24  # points since a bend
DAY_SEEN = 0.75  # of a day must be there for its harmonics to be distinguished from a curve
FIRST_RATE = 3  # the first column of an exponential
FIRST_BEND = FIRST_RATE + len(RATES)


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns that a shape is made of, by their place in the basis; of a bend the last one is its slope."""

    kind: str
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Basis:
    """Every shape over `points` points, and what each noise makes of the columns.

    Attributes:
        bends: The points at which a shape may bend, the oldest first.
        day: Points of a day; 0 where no shape has one.
        filtered: Shape (noises, points, columns): the columns' innovations.
        inverses: Per shape, the inverse of the Gram matrix under each noise, shape (noises, p, p).
        volumes: Shape (noises, shapes): half the logarithm of each Gram matrix's determinant.
    """

    points: int
    shapes: tuple[Shape, ...]
    bends: tuple[int, ...]
    day: float
    filtered: Floats
    inverses: tuple[Floats, ...]
    volumes: Floats

    @property
    def curves(self) -> tuple[list[int], list[int]]:
        """The shapes that slow down, and those that gather speed."""
        places = [place for place, shape in enumerate(self.shapes) if shape.kind in ("parabola", "exponential")]
        slow = [place for place in places if 0 <= self.shapes[place].columns[-1] - FIRST_RATE < len(RATES) // 2]
        return slow, [place for place in places if place not in slow]

    def bent_at(self, bend: int) -> list[int]:
        """Return the shapes that bend at a point."""
        slope = FIRST_BEND + 2 * self.bends.index(bend)
        return [place for place, shape in enumerate(self.shapes) if shape.kind in BENT and shape.columns[-1] == slope]

    def at(self, times: Floats) -> Floats:
        """Return the columns at points counted from the series' start, shape (len(times), columns)."""
        return _columns(times, self.points, self.bends, self.day)

    def prior(self) -> Floats:
        """Return each shape's weight before the data: the same for the lines, the curves and the bends together."""
        groups = {"line": "line", "day": "line", "parabola": "curve", "exponential": "curve"}
        names = [groups.get(shape.kind, "bend") for shape in self.shapes]
        shares = np.array([1.0 / names.count(name) for name in names])
        return np.asarray(shares / shares.sum(), dtype=np.float64)


def innovations(values: Floats, noise: int) -> Floats:
    """Return the innovations of series or columns along axis 0 under a noise of NOISES."""
    phi, theta = NOISES[noise]
    white = lfilter([1.0, -phi], [1.0, theta], values, axis=0)
    white[0] *= first_weight(phi, theta)
    return np.asarray(white, dtype=np.float64)


def first_weight(phi: float, theta: float) -> float:
    """Return the standard deviation of e over that of r, which is the first point's weight; 1 for a random walk."""
    return 1.0 if phi == 1.0 else float(np.sqrt((1 - phi**2) / (1 + 2 * phi * theta + theta**2)))


@lru_cache(maxsize=4)
def build_basis(points: int, day: float) -> Basis:
    """Return the shapes over a number of points, with bends at ages that are RATIO apart."""
    ages = points / RATIO ** np.arange(1, 40)
    return bend_at(points, day, tuple(int(points - age) for age in ages if age >= YOUNGEST))


def bend_at(points: int, day: float, bends: tuple[int, ...]) -> Basis:
    """Return the shapes over a number of points, with bends at the given ones, the oldest first."""
    rates = [FIRST_RATE + place for place in range(len(RATES))]
    slopes = [FIRST_BEND + 2 * place for place in range(len(bends))]
    shapes = [Shape("line", (0, 1)), Shape("parabola", (0, 1, 2))]
    shapes += [Shape("exponential", (0, rate)) for rate in rates]
    # With a line beside it, what saturates would reach everything in the end.
    shapes += [Shape("exponential", (0, 1, rate)) for rate in rates[len(RATES) // 2 :]]
    # Between two bends a jump stands for the rise since the true one.
    shapes += [Shape("onset", (0, slope + 1, slope)) for slope in slopes]
    shapes += [Shape("restart", (0, 1, slope + 1, slope)) for slope in slopes]
    if day and points >= DAY_SEEN * day:
        wave = FIRST_BEND + 2 * len(bends)
        shapes += [Shape("day", (0, 1, *range(wave, wave + 2 * count))) for count in (1, 2)]
    columns = _columns(np.arange(points, dtype=np.float64), points, bends, day)
    filtered = np.stack([innovations(columns, noise) for noise in range(len(NOISES))])
    grams = filtered.transpose(0, 2, 1) @ filtered
    parts = [grams[:, shape.columns][:, :, shape.columns] for shape in shapes]
    volumes = np.stack([0.5 * np.linalg.slogdet(part)[1] for part in parts], axis=1)
    inverses = tuple(np.linalg.inv(part) for part in parts)
    return Basis(points, tuple(shapes), bends, day, filtered, inverses, volumes)


def _columns(times: Floats, points: int, bends: tuple[int, ...], day: float) -> Floats:
    """Return 1, t, t², the exponentials, the bends' slopes and jumps, the day's harmonics, all with a spread of 1."""
    clock = times / points
    made = [np.ones_like(clock), (clock - 0.5) * np.sqrt(12.0), ((clock - 0.5) ** 2 - 1 / 12) * np.sqrt(180.0)]
    for rate in RATES:
        area = np.expm1(rate) / rate
        made.append((np.exp(rate * clock) - area) / np.sqrt(np.expm1(2 * rate) / (2 * rate) - area**2))
    for bend in bends:
        share = 1.0 - bend / points
        made.append(np.maximum(0.0, clock - bend / points) / np.sqrt(share**3 / 3 - share**4 / 4))
        made.append((times >= bend) / np.sqrt(share * (1 - share)))
    for harmonic in (1, 2) if day else ():
        turn = 2 * np.pi * harmonic * times / day
        made += [np.sqrt(2) * np.sin(turn), np.sqrt(2) * np.cos(turn)]
    return np.stack(made, axis=1)
