"""Puts answers about parts of a time together: those of a long range in pieces, and a window with its new end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.series import Batch, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.series import Labels

Key = tuple[tuple[str, str], ...]


def join_columns(signal: str, grid: Grid, parts: Sequence[Batch]) -> Batch:
    """Return the series of all parts over one grid, a later part before an earlier one of the same moments.

    A series that is not in the last part, and has no value within the grid, is left out: an answer about the whole
    would not have it. Where the parts have different series they are sorted by their labels, as Prometheus sorts them.

    Args:
        signal: The name of the batch that is returned.
        grid: Moments at the same distance as those of the parts, and at the same places.
        parts: At least one, the newest last.
    """
    labels, rows = _match(parts)
    values = np.full((len(labels), grid.points), np.nan)
    for part, places in zip(parts, rows, strict=True):
        first = round((part.grid.start - grid.start) / grid.step)
        here = slice(max(first, 0), min(first + part.grid.points, grid.points))
        if here.start < here.stop:
            there = slice(here.start - first, here.stop - first)
            if places is None:
                values[:, here] = part.values[:, there]
            else:
                values[:, here] = np.nan
                values[places, here] = part.values[:, there]
    if rows[-1] is None:
        return Batch(signal, grid, labels, values)
    kept = np.isfinite(values).any(axis=1)
    kept[rows[-1]] = True
    if kept.all():
        return Batch(signal, grid, labels, values)
    return Batch(signal, grid, tuple(labels[row] for row in np.flatnonzero(kept)), values[kept])


def _match(parts: Sequence[Batch]) -> tuple[tuple[Labels, ...], list[list[int] | None]]:
    """Return the labels of all series, and for each part their rows; None where it has them all in this order."""
    newest = parts[-1].labels
    if all(part.labels is newest or part.labels == newest for part in parts):
        # The first objects: what others have remembered of them stays true.
        return parts[0].labels, [None for _ in parts]
    keys = [[_key(one) for one in part.labels] for part in parts]
    known: dict[Key, Labels] = {}
    for part, own in zip(parts, keys, strict=True):
        for key, one in zip(own, part.labels, strict=True):
            known.setdefault(key, one)
    order = {key: row for row, key in enumerate(sorted(known))}
    return tuple(known[key] for key in order), [[order[key] for key in own] for own in keys]


def _key(labels: Labels) -> Key:
    return tuple(sorted(labels.items()))
