"""Days of use as tests give them: by question, on the grid of the analyzer's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.waste import Known, Learned, learn_uses
from perfloop_analyzer.waste_watch import BY, COUNTERS

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

NOW = 1_700_000_000.0
STEP, DAY = 600.0, 86_400.0
CATALOG = {one.name: one for one in load_catalog()}


def grid(days: float = 7.0) -> Grid:
    """The moments of so many days until NOW."""
    points = round(days * DAY / STEP)
    return Grid(NOW - (points - 1) * STEP, STEP, points)


def use(level: float, days: float = 7.0, seed: int = 1) -> Floats:
    """A use with a daily rhythm and noise, its mean near `level`."""
    times = grid(days).times()
    noise = 1.0 + 0.1 * np.random.default_rng(seed).random(len(times))
    return level * (1.0 + 0.3 * np.sin(times / DAY * 2 * np.pi)) * noise


def batch(name: str, values: Any, days: float = 7.0, **labels: str) -> Batch:
    """The answer to a question: one series, constant where a number is given."""
    whole = grid(days)
    return Batch(name, whole, (labels,), np.broadcast_to(np.asarray(values, dtype=float), (1, whole.points)).copy())


def learn(*batches: Batch) -> Learned:
    """What is learned of answers."""
    return learn_uses({one.signal: one for one in batches}, BY, COUNTERS)


def size(signal: str, value: float, **labels: str) -> Batch:
    """The newest answer to a query of the catalogue: one series of one value."""
    return Batch(signal, Grid(NOW - 150.0, 15.0, 11), (labels,), np.full((1, 11), value))


def known(**changes: Any) -> Known:
    """What recommendations need beside uses and sizes."""
    return Known(NOW, CATALOG, **changes)
