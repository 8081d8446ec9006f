"""Watches a cluster: asks who owns which pod, and names workloads and services in every answer of Prometheus."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.kubernetes import OWNER_QUERIES, Directory, advise, is_of_pods, read_directory
from perfloop_analyzer.ports import Query, SourceAround
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.ports import Responses, Result, Source
    from perfloop_analyzer.series import Batch

OWNERS_SECONDS = 60.0  # between two questions who owns what
LONGEST_BACK = 86_400.0  # the history and a follow-up end before the cycle does: nothing is asked again for them


class KubernetesWatch(SourceAround):
    """A source whose series of pods name their workload and service; one of no cluster is asked nothing more.

    It is the source that it has been given for everything else.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._directory = Directory()
        self._known_until: float | None = None

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Run every query over the grid, and name what is about pods."""
        responses = await self._source.query(queries, grid)
        if not any(is_of_pods(labels) for batch in responses.batches.values() for labels in batch.labels):
            return responses
        await self._refresh(grid)
        named = {signal: self._directory.relabel(batch) for signal, batch in responses.batches.items()}
        return replace(responses, batches=named)

    def add(self, result: Result, batches: Mapping[str, Batch]) -> Result:
        """Return a result with its recommendations in Kubernetes's words; `batches` are those that it was made from."""
        return replace(result, recommendations=advise(result.recommendations, batches, self._directory))

    async def _refresh(self, grid: Grid) -> None:
        """Ask who owns what when it is due; what is not answered stays as it was."""
        since = grid.end - self._known_until if self._known_until is not None else OWNERS_SECONDS
        if -LONGEST_BACK < since < OWNERS_SECONDS:
            return
        queries = [Query(name, expr) for name, expr in OWNER_QUERIES.items()]
        answered = await self._source.query(queries, Grid(grid.end - 30.0, 30.0, 2))
        if "kubernetes/pods" in answered.batches:
            self._directory = read_directory(answered.batches)
            self._known_until = grid.end
