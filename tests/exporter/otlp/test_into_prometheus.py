"""A current Prometheus gets the same metrics twice, scraped and by OTLP, and cannot tell one from the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from perfloop_exporter.instrument import instrument
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.otlp import Sender, read_destination, read_page
from tests.exporter.instrument.conftest import run_server
from tests.support.current_prometheus import HOW, find_current
from tests.support.scraping import scraping
from tests.support.waiting import wait_for

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client import Metric

    from tests.exporter.conftest import Exporter

STRATEGIES = [
    "UnderscoreEscapingWithSuffixes",  # the default
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",  # of the stack with PERFLOOP_OTLP=1
    "NoTranslation",
]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RECEIVER = "--web.enable-otlp-receiver"
# What the two ways add by themselves.
OWN = {"__name__", "job", "instance"}


@pytest.fixture(scope="module")
def current_prometheus() -> str:
    """A Prometheus that receives OTLP: Debian's is too old."""
    found = find_current("prometheus")
    if found is None:
        pytest.skip(f"a current Prometheus is not here: {HOW}")
    return str(found)


def stored(url: str, job: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return what Prometheus has of a job, the newest value of each series; `le` as a number."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": f'{{job="{job}"}}'}).json()
    found = {}
    for series in answer["data"]["result"]:
        labels = {name: value for name, value in series["metric"].items() if name not in OWN}
        if "le" in labels:
            labels["le"] = repr(float(labels["le"]))
        found[series["metric"]["__name__"], frozenset(labels.items())] = float(series["value"][1])
    return found


def send(url: str, collect: Callable[[], Any]) -> None:
    """Send a page once."""
    variables = {"OTEL_SERVICE_NAME": "sent", "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=one"}
    destination = read_destination(variables, "--otlp.endpoint", f"{url}/api/v1/otlp", {})
    sender = Sender(destination, collect, time.time() - 60)
    sender.send()
    sender.stop()
    assert sender.counts == {"sent": 1, "failed": 0}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_exporters_page_arrives_as_it_is(running: Exporter, tmp_path: Path, strategy: str, current_prometheus: str):
    """Every series of every default collector has the same name, labels and value, whatever the strategy."""
    text = running.get()
    with scraping(tmp_path, current_prometheus, "", RECEIVER, more={"otlp": {"translation_strategy": strategy}}) as url:
        send(url, lambda: read_page(text))
        shown = {
            (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value)): sample.value
            for family in read_page(text)
            for sample in family.samples
        }
        found = {key: value for key, value in stored(url, "sent").items() if key[0] != "target_info"}
        assert found.keys() == shown.keys()
        assert {key: value for key, value in found.items() if value == value} == {  # noqa: PLR0124 - not NaN
            key: value
            for key, value in shown.items()
            if value == value  # noqa: PLR0124 - not NaN
        }


def test_an_instrumented_app_arrives_as_it_is_scraped(tmp_path: Path, current_prometheus: str):
    """Histograms with every bucket, and exemplars with their ids: one query finds both, and they are equal."""
    registry = MetricRegistry()
    app = FastAPI()
    app.get("/items/{item}")(lambda item: item)
    with run_server(instrument(app, registry=registry)) as server:
        for number in range(10):
            server.http.get(f"/items/{number}", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        target = server.url.removeprefix("http://")
        with scraping(tmp_path, current_prometheus, target, RECEIVER) as url:

            def ours(job: str) -> dict[Any, float]:
                return {key: value for key, value in stored(url, job).items() if key[0].startswith("http_server_")}

            wait_for(lambda: ours("scraped"), "the scrape", 60)

            def page() -> list[Metric]:
                accept = {"accept": "application/openmetrics-text"}
                return list(read_openmetrics(server.http.get("/metrics", headers=accept).text))

            send(url, page)
            sent = ours("sent")
            assert len(sent) > 100
            wait_for(lambda: ours("scraped") == sent, "both to be equal", 60)

            def exemplars(job: str) -> set[tuple[str, str, str, float]]:
                now = time.time()
                query = {"query": f'{{job="{job}"}}', "start": str(now - 600), "end": str(now + 60)}
                data = httpx.get(f"{url}/api/v1/query_exemplars", params=query).json()["data"]
                return {
                    (
                        one["seriesLabels"]["__name__"],
                        exemplar["labels"].get("trace_id", ""),
                        exemplar["labels"].get("span_id", ""),
                        round(float(exemplar["value"]), 9),
                    )
                    for one in data
                    for exemplar in one["exemplars"]
                }

            assert exemplars("sent")
            assert exemplars("sent") == exemplars("scraped")
            assert {trace for _, trace, _, _ in exemplars("sent")} == {TRACE}
