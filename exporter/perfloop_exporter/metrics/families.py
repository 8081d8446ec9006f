"""Metric families: name, type, help and labels, and the series, whose number is capped."""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from perfloop_exporter.metrics.guard import LabelGuard, Limits
from perfloop_exporter.metrics.series import (
    CounterSeries,
    GaugeSeries,
    HistogramSeries,
    Labels,
    LatestGaugeSeries,
    Series,
)
from perfloop_exporter.metrics.text import HELP_LIMIT, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["counter", "gauge", "histogram"]
# What else a scraper reads under a family's name: two families must not share one of these.
_SUFFIXES: dict[str, tuple[str, ...]] = {
    "counter": ("", "_total", "_created"),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_sum", "_count", "_created"),
}
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
S = TypeVar("S", bound=Series)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The properties of a family.

    Attributes:
        label_names: In the order of the values of `Family.labels`.
        bounds: Upper bounds of a histogram's buckets, ascending, without +Inf.
        latest: Of a gauge in several worker processes, whether the newest value counts instead of the sum.
    """

    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    latest: bool = False

    def __post_init__(self) -> None:
        """Check what may come from an application or another process.

        Raises:
            ValueError: The family could not be exported: one line of it would spoil the whole page.
        """
        object.__setattr__(self, "help", text_of(self.help, HELP_LIMIT))
        if self.kind not in _SUFFIXES:
            raise ValueError(f"Metric {self.name!r} has kind {self.kind!r}: it must be one of {', '.join(_SUFFIXES)}")
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"Metric {self.name!r} is not a name: letters, digits, underscores and colons")
        if self.kind == "counter" and not self.name.endswith("_total"):
            raise ValueError(f"Counter {self.name!r} does not end in _total")
        for label in self.label_names:
            if not _LABEL_NAME.fullmatch(label):
                raise ValueError(f"Metric {self.name!r} has label {label!r}: letters, digits and underscores only")
        ascending = all(low < high for low, high in zip(self.bounds, self.bounds[1:], strict=False))
        if not ascending or not all(map(math.isfinite, self.bounds)):
            raise ValueError(f"Metric {self.name!r} has bounds {self.bounds!r}: they must be finite and ascending")

    @property
    def exposed(self) -> frozenset[str]:
        """Every name that a page has because of this family."""
        base = self.name.removesuffix("_total") if self.kind == "counter" else self.name
        return frozenset(base + suffix for suffix in _SUFFIXES[self.kind])

    def make_series(self, labels: Labels) -> Series:
        """Return an empty series of this family."""
        if self.kind == "histogram":
            return HistogramSeries(labels, self.bounds)
        if self.kind == "counter":
            return CounterSeries(labels)
        return LatestGaugeSeries(labels) if self.latest else GaugeSeries(labels)


class Family(Generic[S]):
    """All series of one metric."""

    def __init__(self, descriptor: Descriptor, make: Callable[[Labels], S], limits: Limits) -> None:
        self.descriptor = descriptor
        self.guard = LabelGuard(descriptor.name, limits)
        self._make = make
        self._by_values: dict[tuple[str, ...], S] = {}
        self._children: dict[Labels, S] = {}
        self._lock = threading.Lock()

    def labels(self, *values: str) -> S:
        """Return the series with these label values, in the order of the descriptor's label names.

        Values of other types, too long ones and characters that no page can have are converted, not refused.
        """
        # Without a lock: in CPython a lookup and an assignment are atomic, and a race assigns the same series twice.
        try:
            return self._by_values[values]
        except Exception:  # noqa: BLE001 - not only KeyError: the caller's own __hash__ may raise anything
            return self._labelled(values)

    def _labelled(self, values: tuple[str, ...]) -> S:
        texts = tuple(map(text_of, values))
        child = self.child(tuple(zip(self.descriptor.label_names, texts, strict=True)))
        # Only strings as they are: 1, 1.0 and True are equal as keys, and long values would fill the memory.
        plain = all(type(value) is str and value == text for value, text in zip(values, texts, strict=True))
        if plain and tuple(value for _, value in child.labels) == texts:
            self._by_values[values] = child
        return child

    def child(self, labels: Labels) -> S:
        """Return the series with these labels, or the overflow series when the cap is reached."""
        child = self._children.get(labels)
        if child is not None:
            return child
        # Again for what is clean already, since every way to a series leads through here.
        labels = tuple((name, text_of(value)) for name, value in labels)
        with self._lock:
            child = self._children.get(labels)
            if child is None:
                admitted = self.guard.admit(labels)
                child = self._children.get(admitted)
                if child is None:
                    child = self._children[admitted] = self._make(admitted)
            return child

    def series(self) -> list[S]:
        """Return every series, oldest first."""
        return list(self._children.values())

    def clear(self) -> None:
        """Reset every series in place: instruments hold references to them."""
        self._lock = threading.Lock()
        for child in self.series():
            child.reset()


AnyFamily = Family[CounterSeries] | Family[GaugeSeries] | Family[HistogramSeries]
