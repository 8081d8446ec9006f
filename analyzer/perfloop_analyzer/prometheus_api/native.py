"""Histograms in both of Prometheus's forms: queries of classic buckets also find native histograms.

A native histogram has no `_bucket`, `_count` and `_sum` series. From time to time each query of a histogram is asked in
its native form as well; where that has series, both forms are asked from then on, the classic one before the other. A
server that does not know native histograms refuses the second form, or returns nothing: that is no failure.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.series import Batch
from perfloop_base.promql import native_form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHECK_SECONDS = 600.0  # between two looks whether a service has begun to export native histograms


@lru_cache(maxsize=1024)
def _native(expr: str) -> str | None:
    """Return the native form of an expression; None where it has none, or is no PromQL that can be read."""
    try:
        return native_form(expr)
    except ValueError:
        return None


class NativeForms:
    """Which expressions have native histograms behind them; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._checked: dict[str, float] = {}
        self._found: set[str] = set()

    def current(self, query: Query) -> Query:
        """Return the query in the forms that are known to have series."""
        form = _native(query.expr) if query.expr in self._found else None
        return replace(query, expr=f"({query.expr}) or ({form})") if form else query

    def due(self, queries: Sequence[Query]) -> list[Query]:
        """Return the native forms that have not been asked for CHECK_SECONDS and are not in use."""
        now = self._clock()
        found = []
        for query in queries:
            form = _native(query.expr)
            last = self._checked.get(query.expr)
            if form and query.expr not in self._found and (last is None or now - last >= CHECK_SECONDS):
                self._checked[query.expr] = now
                found.append(Query(query.signal, form))
        return found

    def learn(self, checks: Sequence[Query], classic: Responses, native: Responses) -> Responses:
        """Return the responses with the native series; their expressions are asked in both forms from now on.

        Args:
            checks: What `due` returned.
            classic: The responses to the queries themselves.
            native: The responses to the checks. What failed there is no failure.
        """
        forms = {query.expr for query in checks if len(native.batches.get(query.signal, ()))}
        self._found |= {expr for expr in self._checked if _native(expr) in forms}
        batches = dict(classic.batches)
        for signal, batch in native.batches.items():
            if len(batch):
                held = batches.get(signal)
                batches[signal] = batch if held is None else _join(held, batch)
        return replace(
            classic,
            batches=batches,
            samples=classic.samples + native.samples,
            seconds=classic.seconds + native.seconds,
        )


def _join(first: Batch, second: Batch) -> Batch:
    """Return the series of both; of two with the same labels the first."""
    known = {tuple(sorted(labels.items())) for labels in first.labels}
    rows = [row for row, labels in enumerate(second.labels) if tuple(sorted(labels.items())) not in known]
    labels = (*first.labels, *(second.labels[row] for row in rows))
    return Batch(first.signal, first.grid, labels, np.vstack([first.values, second.values[rows]]))
