"""The two measures of the Turing change point data set, and its files.

van den Burg & Williams, "An evaluation of change point detection algorithms", arXiv 2003.06222, section 3: several
people annotated each series, and they disagree. Precision counts a found point as right when anyone marked one within
the margin, recall is the mean over the annotators, the start of a series is a change that all of them share. Covering
is the mean over the annotators of how well the found segments overlap theirs (Jaccard index, weighted by length).
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MARGIN = 5  # points


class Annotated(NamedTuple):
    """One series, shape (points,), NaN where a point is missing, and what each annotator marked, in indices."""

    name: str
    values: np.ndarray
    annotations: Sequence[Sequence[int]]


def matched(marks: set[int], found: set[int], margin: int = MARGIN) -> int:
    """Return how many marks have a found point within the margin that answers for no other mark."""
    left, hits = set(found), 0
    for mark in sorted(marks):
        near = min(left, key=lambda one: (abs(one - mark), one), default=None)
        if near is not None and abs(near - mark) <= margin:
            left.remove(near)
            hits += 1
    return hits


def f_measure(annotations: Sequence[Sequence[int]], found: Sequence[int]) -> float:
    """Return F1 of found points against several annotators."""
    people = [{0, *marks} for marks in annotations]
    points = {0, *found}
    precision = matched(set().union(*people), points) / len(points)
    recall = float(np.mean([matched(marks, points) / len(marks) for marks in people]))
    return 2 * precision * recall / (precision + recall)


def covering(annotations: Sequence[Sequence[int]], found: Sequence[int], points: int) -> float:
    """Return the mean covering of the annotators' segments of a series of `points` points by the found ones."""
    return float(np.mean([_covered(_segments(marks, points), _segments(found, points)) for marks in annotations]))


def _segments(marks: Sequence[int], points: int) -> list[tuple[int, int]]:
    edges = sorted({0, *marks, points})
    return list(itertools.pairwise(edges))


def _covered(real: list[tuple[int, int]], found: list[tuple[int, int]]) -> float:
    total = 0.0
    for begin, end in real:
        common = [max(0, min(end, high) - max(begin, low)) for low, high in found]
        union = [(end - begin) + (high - low) - both for (low, high), both in zip(found, common, strict=True)]
        total += (end - begin) * max(both / all_ for both, all_ in zip(common, union, strict=True))
    return total / (real[-1][1] - real[0][0])


def read_annotated(directory: Path) -> Iterator[Annotated]:
    """Read the univariate series of a checkout of the data set: datasets/NAME/NAME.json and annotations.json."""
    marks = json.loads((directory / "annotations.json").read_text(encoding="utf-8"))
    for path in sorted(directory.glob("datasets/*/*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        if len(body["series"]) != 1 or body["name"] not in marks:
            continue
        raw = np.array([np.nan if one is None else one for one in body["series"][0]["raw"]], dtype=np.float64)
        yield Annotated(body["name"], raw, list(marks[body["name"]].values()))
