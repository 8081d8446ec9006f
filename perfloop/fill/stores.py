"""The two sides over HTTP: raw samples out of a Prometheus API, and into VictoriaMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import yaml

from perfloop.fill.errors import ReadError, WriteError
from perfloop.fill.gaps import NAME, Sample, Series, key_of, select
from perfloop_base.redaction import redact_url
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ANSWER_SECONDS = 60.0
_UNREADABLE = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError)


class Side:
    """One Prometheus API: the Prometheus that has the samples, or the store that may lack them."""

    def __init__(self, title: str, url: str) -> None:
        self._title = title
        self._url = url.rstrip("/")

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Return the `data` of an answer.

        Raises:
            ReadError: there is none.
        """
        try:
            answer = httpx.post(f"{self._url}{path}", data=dict(parameters), timeout=_ANSWER_SECONDS, trust_env=False)
            found = answer.json()
            if found["status"] == "success":
                return found["data"]
            reason = str(found.get("error") or found["status"])
        except _UNREADABLE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(f"{self._title} at {redact_url(self._url)} gave no usable answer: {brief(reason)}")

    def read_external_labels(self, without: Iterable[str] = ()) -> dict[str, str]:
        """Return the labels that a Prometheus adds to what it sends, and does not keep itself."""
        try:
            answer = httpx.get(f"{self._url}/api/v1/status/config", timeout=_ANSWER_SECONDS, trust_env=False)
            config = yaml.safe_load(answer.json()["data"]["yaml"])
            labels = (config.get("global") or {}).get("external_labels") or {}
        except (*_UNREADABLE, yaml.YAMLError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ReadError(
                f"{self._title} at {redact_url(self._url)} did not say its labels: {brief(reason)}"
            ) from error
        return {name: str(value) for name, value in labels.items() if name not in set(without)}

    def count_series(self, start: int, end: int) -> dict[str, int]:
        """Return how many series each metric has within a window, in milliseconds."""
        window = f"[{end - start}ms]"
        query = f"count by ({NAME}) (last_over_time({{{NAME}!=''}}{window}))"
        data = self._ask("/api/v1/query", {"query": query, "time": _seconds(end)})
        return {one["metric"][NAME]: int(float(one["value"][1])) for one in data["result"]}

    def read(
        self, names: Iterable[str], start: int, end: int, labels: Mapping[str, str] | None = None
    ) -> tuple[Series, int]:
        """Return the raw samples after `start` and up to `end`, and how many native histograms were left out.

        A series that has one of `labels` keeps its own.
        """
        query = f"{select(names)}[{end - start}ms]"
        data = self._ask("/api/v1/query", {"query": query, "time": _seconds(end)})
        found = {
            key_of({**(labels or {}), **one["metric"]}): [
                Sample(round(float(at) * 1000), str(value)) for at, value in one.get("values") or []
            ]
            for one in data["result"]
        }
        return found, sum(len(one.get("histograms") or []) for one in data["result"])


def _seconds(moment: int) -> str:
    return f"{moment / 1000:.3f}"


def find_write_url(read_url: str) -> str:
    """Return where a store takes samples, from where it is read: VictoriaMetrics as one program, or as a cluster.

    Of a cluster it is the same host and tenant of `vminsert`, on its usual port.
    """
    parts = urlsplit(read_url)
    if parts.path.startswith("/select/"):
        host = (parts.hostname or "").replace("vmselect", "vminsert")
        return f"{parts.scheme}://{host}:8480{parts.path.replace('/select/', '/insert/', 1)}".rstrip("/")
    return read_url.rstrip("/")


class Target:
    """Where samples are written: the import of VictoriaMetrics in the exposition format."""

    def __init__(self, write_url: str, read_url: str) -> None:
        self._write_url = write_url.rstrip("/")
        parts = urlsplit(read_url)
        self._root = f"{parts.scheme}://{parts.netloc}"

    def write(self, text: str) -> None:
        """Write samples.

        Raises:
            WriteError: they were refused.
        """
        try:
            answer = httpx.post(
                f"{self._write_url}/api/v1/import/prometheus",
                content=text.encode(),
                timeout=_ANSWER_SECONDS,
                trust_env=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WriteError(f"the store at {redact_url(self._write_url)} cannot be reached: {error}") from error
        if answer.status_code // 100 != 2:  # noqa: PLR2004 - every 2xx
            said = brief(" ".join(answer.text.split()))
            raise WriteError(
                f"the store at {redact_url(self._write_url)} refused the samples: {answer.status_code} {said}"
            )

    def forget_results(self) -> None:
        """Have the store forget the results that it keeps of queries: the gap would stay in them.

        A single VictoriaMetrics does so by itself; a store that has no such address has nothing to forget.
        """
        try:
            httpx.get(f"{self._root}/internal/resetRollupResultCache", timeout=_ANSWER_SECONDS, trust_env=False)
        except (httpx.HTTPError, httpx.InvalidURL):
            return
