"""Which samples a store lacks, and how they are written. Pure; times are in milliseconds since the epoch."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from perfloop_base.exposition import label_set
from perfloop_base.promql import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

NAME = "__name__"
_PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Sample(NamedTuple):
    """A moment, and the value as Prometheus writes it: `1.5`, `NaN`, `+Inf`."""

    at: int
    value: str


Labels = tuple[tuple[str, str], ...]
Series = dict[Labels, list[Sample]]


def key_of(metric: Mapping[str, str]) -> Labels:
    """Return what identifies a series, its name among it."""
    return tuple(sorted(metric.items()))


def find_spacing(samples: Sequence[Sample], otherwise: int) -> int:
    """Return the time between two samples of a series: the median; `otherwise` where there are fewer than two."""
    steps = [later.at - sooner.at for sooner, later in pairwise(samples)]
    return max(1, round(median(steps))) if steps else otherwise


def find_missing(source: Sequence[Sample], stored: Sequence[int], spacing: int) -> list[Sample]:
    """Return the samples of a series that a store lacks.

    The store may have the samples of the other Prometheus of a pair in the place of this one's. They are as far apart,
    so that one of them is at most half of a spacing away; the neighbours of a sample that is missing are a whole one
    away. Three quarters lie between the two, however early or late a scrape is.

    Args:
        source: the samples of Prometheus, in the order of time.
        stored: the moments that the store has, in the order of time.
        spacing: the time between two samples.
    """
    return [sample for sample in source if not _has_near(stored, sample.at, 0.75 * spacing)]


def _has_near(moments: Sequence[int], at: int, distance: float) -> bool:
    """Return whether one of the moments is at most `distance` away."""
    after = bisect_left(moments, at)
    return any(abs(moments[index] - at) <= distance for index in (after - 1, after) if 0 <= index < len(moments))


def split(start: int, end: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield the windows of a span, each `length` long but the last."""
    while start < end:
        yield start, min(start + length, end)
        start += length


def batch(sizes: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """Yield names in groups whose sizes together are at most `most`; one that is larger is alone."""
    group: list[str] = []
    total = 0
    for name, size in sorted(sizes.items()):
        if group and total + size > most:
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        yield group


def select(names: Iterable[str]) -> str:
    """Return a selector of PromQL for these metric names."""
    return f"{{{NAME}=~{quote('|'.join(map(re.escape, names)))}}}"


def render(series: Mapping[Labels, Sequence[Sample]]) -> str:
    """Return samples in the exposition format, each with its moment."""
    return "".join(
        f"{_identity(labels)} {sample.value} {sample.at}\n" for labels, samples in series.items() for sample in samples
    )


def _identity(labels: Labels) -> str:
    named = dict(labels)
    name = named.pop(NAME, "")
    if not _PLAIN_NAME.fullmatch(name):  # a name of UTF-8 is written as a label
        named, name = {NAME: name, **named}, ""
    return f"{name}{label_set(named.items())}"
