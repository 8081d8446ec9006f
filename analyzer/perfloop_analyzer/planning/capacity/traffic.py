"""What live traffic shows of a service: points of rate, response time, errors and use, each of one replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.asked import DAY, HOUR

if TYPE_CHECKING:
    from perfloop_analyzer.planning.situation import Situation
    from perfloop_analyzer.series import Floats

# Resources by the names of their queries, as people call them. How many serve side by side is their size.
RESOURCES = {"cpu": "CPU", "pool": "database pool", "gpu": "GPU", "kv_cache": "KV cache", "network": "network"}
LABELS = {"pool": "database_pool"}
MOST = 1e15  # of any value, bytes per second among them
SHARED = frozenset({"kv_cache", "network"})  # one thing that all requests share, whatever its size


@dataclass(frozen=True, slots=True)
class Traffic:
    """Points of a day, in the order of time; every array has the shape (points,), NaN where nothing is known.

    Attributes:
        rate: Requests per second and replica.
        p95: The 95th percentile of the response time in seconds.
        mean: The mean response time in seconds.
        errors: The share of requests that failed.
        uses: The share of each resource in use, by the name of its query.
        sizes: How many serve side by side in one replica, by the same name; at least 1.
        replicas: How many serve requests now.
        total: Requests per second of all replicas now; None where there is no newest value.
        highest_total: The highest rate of all replicas of the day.
    """

    rate: Floats
    p95: Floats
    mean: Floats
    errors: Floats
    uses: dict[str, Floats]
    sizes: dict[str, int]
    replicas: int
    total: float | None
    highest_total: float


def read_traffic(service: str, situation: Situation) -> Traffic | None:
    """Return what is known of a service's traffic; None where it serves no requests."""
    total = _joined(service, situation, "rate")
    if total is None or not np.isfinite(total).any():
        return None
    replicas = _joined_or_nan(service, situation, "replicas", len(total))
    replicas = np.where(replicas >= 1.0, replicas, 1.0)
    p95 = _joined_or_nan(service, situation, "p95", len(total))
    first_token = _joined_or_nan(service, situation, "first_token_p95", len(total))
    uses, sizes = {}, {}
    for name in RESOURCES:
        busy, size = (_joined_or_nan(service, situation, one, len(total)) for one in (name, f"{name}_size"))
        use = np.divide(busy, size, out=np.full(len(total), np.nan), where=size > 0)
        if np.isfinite(use).any():
            # A process may run on more cores than the one that it is taken to have.
            uses[name] = use / max(1.0, float(np.nanmax(use)))
            each = float(np.nanmedian(size / replicas)) if name not in SHARED else 1.0
            sizes[name] = max(1, round(each))
    running, newest = situation.newest(f"{HOUR}replicas", service), situation.newest(f"{HOUR}rate", service)
    return Traffic(
        rate=total / replicas,
        p95=_positive(np.where(np.isfinite(p95), p95, first_token)),
        mean=_joined_or_nan(service, situation, "mean", len(total)),
        errors=_joined_or_nan(service, situation, "errors", len(total)),
        uses=uses,
        sizes=sizes,
        replicas=round(min(running, MOST)) if running and running >= 1 else 0,
        total=newest if newest is not None and 0 <= newest < MOST else None,
        highest_total=float(np.nanmax(total)),
    )


def _joined(service: str, situation: Situation, name: str) -> Floats | None:
    """Return the day's values up to where the last hour begins, and the hour's."""
    hour = situation.course(HOUR + name, service)
    reference = situation.answers.get(f"{HOUR}rate")
    if reference is None:
        return None
    hour = np.full(reference.grid.points, np.nan) if hour is None else hour
    day = situation.answers.get(f"{DAY}rate")
    if day is None:
        return _plausible(hour)
    before = day.grid.times() < reference.grid.start
    old = situation.course(DAY + name, service)
    past = np.full(int(before.sum()), np.nan) if old is None else old[before]
    return _plausible(np.concatenate([past, hour]))


def _plausible(values: Floats) -> Floats:
    """Return the values without those that no counter, share or time can have."""
    return np.where((values >= 0) & (values < MOST), values, np.nan)


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _joined_or_nan(service: str, situation: Situation, name: str, points: int) -> Floats:
    values = _joined(service, situation, name)
    return np.full(points, np.nan) if values is None else values
