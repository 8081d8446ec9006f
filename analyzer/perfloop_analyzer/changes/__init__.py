"""Changes: what people, deployments or the analyzer itself did to what is watched, and when.

People record them, the analyzer its own, and Prometheus shows the others: a version that was not there, a process that
started, another number of replicas, a configuration that was loaded, a load test.
"""

from __future__ import annotations

from perfloop_analyzer.changes.observed import CHANGE_QUERIES, POINTS, STEP_SECONDS, observe
from perfloop_analyzer.changes.record import (
    KEEP_SECONDS,
    MOST,
    Change,
    Kind,
    configured,
    implemented,
    is_same,
    read_change,
)

__all__ = [
    "CHANGE_QUERIES",
    "KEEP_SECONDS",
    "MOST",
    "POINTS",
    "STEP_SECONDS",
    "Change",
    "Kind",
    "configured",
    "implemented",
    "is_same",
    "observe",
    "read_change",
]
