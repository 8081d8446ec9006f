"""What is not seen: signals that have no finite value now.

A score says nothing about them, and where there is no other signal there is no score.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.findings import AVAILABILITY, OVERALL
from perfloop_analyzer.incidents import is_calls
from perfloop_analyzer.ports import Unseen
from perfloop_analyzer.series import rows_by_service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.series import Batch

LATELY_SECONDS = 60.0


class Coverage:
    """Which signals have series, by service, and which of these a value of the newest LATELY_SECONDS."""

    def __init__(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> None:
        self._catalog = catalog
        self._known: dict[str, set[str]] = {}
        self._seen: dict[str, set[str]] = {}
        for name, batch in batches.items():
            if is_calls(batch):
                continue
            own = catalog[name].service if name in catalog else None
            lately = batch.values[:, -max(2, math.ceil(LATELY_SECONDS / batch.grid.step)) :]
            is_seen = np.asarray(np.isfinite(lately).any(axis=1))
            for service, rows in rows_by_service(batch, own).items():
                self._known.setdefault(service, set()).add(name)
                if is_seen[rows].any():
                    self._seen.setdefault(service, set()).add(name)

    def services(self) -> set[str]:
        """Return the services that can have a score.

        That a target answers is not enough where the service has signals of its own, and none of them has a value.
        """
        return {
            service
            for service, seen in self._seen.items()
            if self._of_its_own(seen) or not self._of_its_own(self._known[service])
        }

    def unseen(self) -> tuple[Unseen, ...]:
        """Return the signals without a value: of all services, and of each one that has any."""
        judged = {name for name, signal in self._catalog.items() if signal.detect}
        somewhere = set().union(*self._seen.values())
        found = [Unseen(OVERALL, self._titles(judged - somewhere), len(judged))]
        for service, known in sorted(self._known.items()):
            if missing := known - self._seen.get(service, set()):
                found.append(Unseen(service, self._titles(missing), len(known)))
        return tuple(found)

    def _of_its_own(self, names: set[str]) -> set[str]:
        return {name for name in names if name not in self._catalog or self._catalog[name].component != AVAILABILITY}

    def _titles(self, names: set[str]) -> tuple[str, ...]:
        return tuple(sorted(self._catalog[name].label if name in self._catalog else name for name in names))
