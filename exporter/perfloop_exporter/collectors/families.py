"""What a collector hands out: metric families with their samples, and the text that Prometheus reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["counter", "gauge", "untyped"]
LabelValues = tuple[str, ...]
Sample = tuple[LabelValues, float]

# Devices and mounts come and go: a family that remembers this many more line starts than it has use for forgets all.
STARTS_SPARE = 64
# No machine has so many families; what does is noise in a damaged file.
FAMILIES_KEPT = 10_000


class Family(NamedTuple):
    """A metric's name, type, help and label names, written once in the file that emits it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


Reading = tuple[Family, "Sequence[Sample]"]


class Verbatim(NamedTuple):
    """Whole families as text that was checked already: what a textfile holds."""

    text: str


class Collector(Protocol):
    """Looks at one subject and tells what it sees; timing and failure belong to the scrape."""

    def collect(self) -> Iterable[Reading | Verbatim]:
        """Read the machine now; raise CollectorError when it has no answer."""


def counter(name: str, help_: str, *labels: str) -> Family:
    """A family that only grows."""
    return Family(name, "counter", help_, labels)


def gauge(name: str, help_: str, *labels: str) -> Family:
    """A family that goes up and down."""
    return Family(name, "gauge", help_, labels)


def single(family: Family, value: float) -> Reading:
    """The reading of a family without labels."""
    return family, (((), value),)


def escape(text: str) -> str:
    """A label value as the text format wants it."""
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def escape_help(text: str) -> str:
    """A help text as the text format wants it."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def head(family: Family) -> str:
    """The HELP and TYPE lines."""
    return f"# HELP {family.name} {escape_help(family.help)}\n# TYPE {family.name} {family.kind}\n"


def line_start(family: Family, values: LabelValues) -> str:
    """A sample's line up to its value."""
    if not family.labels:
        return f"{family.name} "
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in zip(family.labels, values, strict=True))
    return f"{family.name}{{{pairs}}} "


class Renderer:
    """Writes readings as text and remembers the start of every line, since only values change between scrapes."""

    def __init__(self) -> None:
        self._known: dict[Family, tuple[str, dict[LabelValues, str]]] = {}

    def render(self, readings: Iterable[Reading | Verbatim]) -> str:
        """The text of all readings; a family without samples is left out."""
        lines: list[str] = []
        append = lines.append
        for reading in readings:
            if isinstance(reading, Verbatim):
                append(reading.text)
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
            if len(starts) > 2 * len(samples) + STARTS_SPARE:
                starts.clear()
        return "".join(lines)

    def _learn(self, family: Family) -> tuple[str, dict[LabelValues, str]]:
        if len(self._known) >= FAMILIES_KEPT:
            self._known.clear()
        entry = self._known[family] = (head(family), {})
        return entry
