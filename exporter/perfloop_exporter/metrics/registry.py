"""The registry: every family of one process, created once per name."""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from perfloop_base import buckets
from perfloop_base.errors import ConfigError
from perfloop_exporter.metrics.families import AnyFamily, Descriptor, Family
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.series import CounterSeries, GaugeSeries, HistogramSeries, LatestGaugeSeries

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound=AnyFamily)
log = logging.getLogger("perfloop")


class MetricRegistry:
    """Families by name.

    Every method that returns a family returns the existing one where the name is in use, and raises ValueError where
    that one was created with another type, help text, labels or bounds, or another family has a name of its samples.

    Attributes:
        limits: The cap on label values and series.
        bounds: Upper bounds in seconds of histograms that are created without bounds of their own.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits.from_environment()
        self.bounds = _bounds_from_environment()
        self._families: dict[str, AnyFamily] = {}
        self._exposed: dict[str, str] = {}  # every name on the page, by the family that it belongs to
        self._lock = threading.Lock()
        self._before_read: list[Callable[[], None]] = []
        self._failed: list[Callable[[], None]] = []
        self._after_fork: list[Callable[[], None]] = []
        self._folded = self.counter(
            "perfloop_folded_labels_total", "Lookups whose label values were folded into _OTHER.", ("metric",)
        )

    def counter(self, name: str, help_text: str, label_names: tuple[str, ...] = ()) -> Family[CounterSeries]:
        """Return the counter family `name`, which ends in `_total`."""
        return self._get(Family(Descriptor(name, "counter", help_text, label_names), CounterSeries, self.limits))

    def gauge(
        self, name: str, help_text: str, label_names: tuple[str, ...] = (), *, latest: bool = False
    ) -> Family[GaugeSeries]:
        """Return the gauge family `name`; workers' values are summed, or with `latest` the newest counts."""
        descriptor = Descriptor(name, "gauge", help_text, label_names, latest=latest)
        make: Callable[..., GaugeSeries] = LatestGaugeSeries if latest else GaugeSeries
        return self._get(Family(descriptor, make, self.limits))

    def histogram(
        self, name: str, help_text: str, label_names: tuple[str, ...] = (), bounds: tuple[float, ...] | None = None
    ) -> Family[HistogramSeries]:
        """Return the histogram family `name`; `bounds` are the buckets' upper bounds, by default those of times."""
        bounds = bounds or self.bounds
        descriptor = Descriptor(name, "histogram", help_text, label_names, bounds)
        return self._get(Family(descriptor, partial(HistogramSeries, bounds=bounds), self.limits))

    def restore(self, descriptor: Descriptor) -> AnyFamily:
        """Return the family of a descriptor that came from another process."""
        candidate = Family(descriptor, descriptor.make_series, self.limits)
        return self._get(cast("AnyFamily", candidate))

    def _get(self, candidate: F) -> F:
        name, exposed = candidate.descriptor.name, candidate.descriptor.exposed
        with self._lock:
            if name not in self._families:
                clash = next((one for one in exposed if one in self._exposed), None)
                if clash is not None:
                    raise ValueError(f"Metric {name!r} has {clash!r} in common with metric {self._exposed[clash]!r}")
                self._exposed.update(dict.fromkeys(exposed, name))
            known = self._families.setdefault(name, candidate)
        if known.descriptor != candidate.descriptor:
            raise ValueError(f"Metric {name!r} exists as {known.descriptor}; it cannot be {candidate.descriptor}, too")
        return cast("F", known)

    def before_read(self, hook: Callable[[], None]) -> None:
        """Call `hook` before every read, for values that are buffered elsewhere."""
        self._before_read.append(hook)

    def families(self) -> list[AnyFamily]:
        """Return every family that has a series, oldest first, with everything that was recorded until now."""
        for hook in self._before_read:
            try:
                hook()
            except Exception:
                if hook not in self._failed:  # once, not at every scrape
                    self._failed.append(hook)
                    log.exception("A source of metrics failed before a scrape: the other metrics are exported")
        self._note_folded()
        return [family for family in list(self._families.values()) if family.series()]

    def _note_folded(self) -> None:
        for family in list(self._families.values()):
            if family.guard.folded:
                self._folded.labels(family.descriptor.name).total = float(family.guard.folded)

    def after_fork(self, hook: Callable[[], None]) -> None:
        """Call `hook` in a forked process, which starts with a copy of its parent's values."""
        self._after_fork.append(hook)

    def reset(self) -> None:
        """Reset every series, as a forked process must: its parent exports what was counted before."""
        self._lock = threading.Lock()
        for hook in self._after_fork:
            hook()
        for family in list(self._families.values()):
            family.clear()


def _bounds_from_environment() -> tuple[float, ...]:
    """Return the bounds of PERFLOOP_BUCKETS; a wrong value is logged: it must not keep a service from starting."""
    try:
        return buckets.read_bounds()
    except ConfigError as error:
        log.warning("%s The default is used", error)
        return buckets.DEFAULT


# The registry of instruments and of performance_monitor: one per process, like prometheus_client's REGISTRY.
DEFAULT = MetricRegistry()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DEFAULT.reset)
