"""What a collector returns, metric families with their samples, and their rendering in the text format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from perfloop_base.exposition import head, label_set, valid

Kind = Literal["counter", "gauge", "untyped"]
LabelValues = tuple[str, ...]
Sample = tuple[LabelValues, float]

UNCLEAN = re.compile(r"_*[^0-9A-Za-z_]+_*")
# Devices and mounts come and go: a family's cache of line prefixes is cleared when it outgrows the samples by this.
STARTS_SPARE = 64
# No machine has this many families; a damaged file can.
FAMILIES_KEPT = 10_000


class Family(NamedTuple):
    """A metric's name, type, help and label names; declared once, in the file that emits it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


Reading = tuple[Family, Sequence[Sample]]


class Verbatim(NamedTuple):
    """A complete family as text that has already been validated: from a textfile."""

    text: str


class Loss(NamedTuple):
    """How many files, lines or values a collector left out since they could not be read, and why the first one."""

    problem: str
    parts: int = 1


class Late(NamedTuple):
    """Readings that are chosen once the names of the scrape's other families are known: none may have two heads."""

    choose: Callable[[frozenset[str]], Iterable[Reading | Verbatim]]


Item = Reading | Verbatim | Loss | Late


@dataclass(slots=True)
class Aside:
    """What a collector returned besides text: its losses, and what is written after all others."""

    losses: list[Loss] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)


class Collector(Protocol):
    """Reads one subject; timing, failure and success metrics are the scrape's (scrape.py)."""

    def collect(self) -> Iterable[Item]:
        """Read the machine now.

        Raises:
            CollectorError: The subject could not be read or is malformed.
            NoDataError: The machine does not have the subject.
        """


def counter(name: str, help_: str, *labels: str) -> Family:
    """Declare a counter family."""
    return Family(name, "counter", help_, labels)


def gauge(name: str, help_: str, *labels: str) -> Family:
    """Declare a gauge family."""
    return Family(name, "gauge", help_, labels)


def sanitize(name: str) -> str:
    """Return a name of the kernel's or a driver's as part of a metric's name, as node_exporter does."""
    return UNCLEAN.sub("_", name)


def single(family: Family, value: float) -> Reading:
    """Return the reading of a family without labels."""
    return family, (((), value),)


def line_start(family: Family, values: LabelValues) -> str:
    """Return a sample's line up to its value: the name, the labels and a space.

    Names below /sys and of files may have bytes that are not UTF-8, which Python reads as surrogates: as in
    node_exporter, the page shows a replacement character for them.
    """
    return f"{family.name}{label_set(zip(family.labels, map(valid, values), strict=True))} "


class Renderer:
    """Writes readings as text; caches the start of every line, since only values change between scrapes."""

    def __init__(self) -> None:
        self._known: dict[Family, tuple[str, dict[LabelValues, str]]] = {}

    def render(self, readings: Iterable[Item], aside: Aside | None = None) -> str:
        """Return the text of all readings; a family without samples is left out.

        Args:
            readings: What a collector returned.
            aside: Takes losses and what is to be written later; without it losses are dropped, and late readings chosen
                as if there were no others.
        """
        lines: list[str] = []
        append = lines.append
        for reading in readings:
            if isinstance(reading, Verbatim | Loss | Late):
                append(self._special(reading, aside))
                continue
            family, samples = reading
            if not samples:
                continue
            head_lines, starts = self._known.get(family) or self._learn(family)
            append(head_lines)
            for values, value in samples:
                start = starts.get(values)
                if start is None:
                    start = starts[values] = line_start(family, values)
                append(f"{start}{value}\n")
            # Clearing is cheap, and tracking which entries are still in use would cost on every scrape.
            if len(starts) > 2 * len(samples) + STARTS_SPARE:
                starts.clear()
        return "".join(lines)

    def _special(self, item: Verbatim | Loss | Late, aside: Aside | None) -> str:
        if isinstance(item, Verbatim):
            return item.text
        if isinstance(item, Loss):
            if aside is not None:
                aside.losses.append(item)
            return ""
        if aside is None:
            return self.render(item.choose(frozenset()))
        aside.late.append(item)
        return ""

    def _learn(self, family: Family) -> tuple[str, dict[LabelValues, str]]:
        if len(self._known) >= FAMILIES_KEPT:
            self._known.clear()
        entry = self._known[family] = (head(family.name, family.kind, family.help), {})
        return entry
