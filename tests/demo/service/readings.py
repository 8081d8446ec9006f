"""Read a program's metrics, and what changed between two readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    import httpx


class Readings:
    """All samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and at least these labels."""
        wanted = labels.items()
        return sum(sample.value for sample in self._samples if sample.name == name and wanted <= sample.labels.items())


def scrape(client: httpx.Client) -> Readings:
    """Read a program's metrics now."""
    return Readings(client.get("/metrics").raise_for_status().text)


class Change:
    """What a block of traffic changed."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._before = scrape(client)

    def of(self, name: str, **labels: str) -> float:
        """Return by how much the samples grew since this object was made."""
        return scrape(self._client).sum(name, **labels) - self._before.sum(name, **labels)

    def mean(self, histogram: str, **labels: str) -> float:
        """Return the mean of what a histogram saw since this object was made."""
        return self.of(f"{histogram}_sum", **labels) / self.of(f"{histogram}_count", **labels)
