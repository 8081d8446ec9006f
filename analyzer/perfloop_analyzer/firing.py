"""Which alerts fire in Prometheus, or why that is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.series import Batch

NOT_ASKED = "Prometheus was not asked yet"
_ORDER = ("critical", "warning")


@dataclass(frozen=True, slots=True)
class Firing:
    """The alerts that fire.

    Attributes:
        alerts: The labels of each, the most severe first.
        problem: Why it is not known which fire; empty where it is.
        at: When Prometheus was asked, in Unix seconds.
    """

    alerts: tuple[Mapping[str, str], ...] = ()
    problem: str = NOT_ASKED
    at: float = 0.0


def read_firing(batch: Batch, at: float) -> Firing:
    """Return the alerts that fire at the end of a batch: one that ended before is none."""
    now = np.flatnonzero(np.isfinite(batch.values[:, -1])) if len(batch) else ()
    return Firing(tuple(sorted((dict(batch.labels[row]) for row in now), key=_rank)), "", at)


def _rank(labels: Mapping[str, str]) -> tuple[int, str, str]:
    severity = labels.get("severity", "")
    place = _ORDER.index(severity) if severity in _ORDER else len(_ORDER)
    return place, labels.get("alertname", ""), labels.get("service", "")
