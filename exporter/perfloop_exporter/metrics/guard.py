"""The hard cap on label values and series: what exceeds it is counted under one overflow value, and logged once."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfloop_exporter.metrics.series import Labels

log = logging.getLogger("perfloop")

# OpenTelemetry's value for anything outside of the known values (http.request.method).
OVERFLOW = "_OTHER"


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum number of values per label, and of series per metric."""

    label_values: int = 500
    series: int = 2000

    @classmethod
    def from_environment(cls) -> Limits:
        """Return the defaults, replaced by PERFLOOP_LABEL_VALUES_LIMIT and PERFLOOP_SERIES_LIMIT where valid."""
        found = {}
        for field, variable in (("label_values", "PERFLOOP_LABEL_VALUES_LIMIT"), ("series", "PERFLOOP_SERIES_LIMIT")):
            text = os.environ.get(variable, "")
            if text.isdigit() and int(text) > 0:
                found[field] = int(text)
            elif text:
                log.warning("%s is %r, not a whole number above 0: the default is used", variable, text)
        return cls(**found)


class LabelGuard:
    """Decides which labels a metric's next series may have."""

    def __init__(self, metric: str, limits: Limits) -> None:
        self.metric = metric
        self.limits = limits
        self.folded = 0
        self._values: dict[str, set[str]] = {}
        self._series = 0

    def admit(self, labels: Labels) -> Labels:
        """Return the labels, with the values beyond the cap replaced by `_OTHER`."""
        full = self._series >= self.limits.series
        admitted = tuple((name, OVERFLOW if full else self._bounded(name, value)) for name, value in labels)
        if admitted == labels:
            self._series += 1
        else:
            self._count(labels, admitted)
        return admitted

    def _bounded(self, name: str, value: str) -> str:
        known = self._values.setdefault(name, set())
        if value in known or value == OVERFLOW:
            return value
        if len(known) >= self.limits.label_values:
            return OVERFLOW
        known.add(value)
        return value

    def _count(self, labels: Labels, admitted: Labels) -> None:
        self.folded += 1
        if self.folded == 1:
            names = [name for (name, value), (_, kept) in zip(labels, admitted, strict=True) if value != kept]
            log.warning(
                "Metric %r: label %s exceeds the cap (%d values per label, %d series): further values count as %r",
                self.metric,
                ", ".join(map(repr, names)),
                self.limits.label_values,
                self.limits.series,
                OVERFLOW,
            )
