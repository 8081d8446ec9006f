"""The sender against a receiver that decodes: the same series as the page, and no harm from a receiver that fails."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.instrument import instrument
from perfloop_exporter.metrics.registry import MetricRegistry
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from perfloop_exporter.instrument.telemetry import Telemetry, group_of
from perfloop_exporter.otlp import Destination, Sender, read_page
from tests.exporter.instrument.conftest import run_server
from tests.exporter.otlp.receiver import Receiver, receiving, samples_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.exporter.conftest import StartExporter

SECRET = "s3cr3t-of-the-header"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PAGE = "# TYPE depth gauge\ndepth 3\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with receiving() as one:
        yield one


def sender_to(url: str, interval: float = 3600.0, **headers: str) -> Sender:
    """Return a sender of one gauge."""
    destination = Destination(url, headers=headers, interval_seconds=interval, resource={"service.name": "t"})
    return Sender(destination, lambda: text_string_to_metric_families(PAGE), time.time())


def page_samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples of a page; `le` as a number, as the receiver has it."""
    found = {}
    for family in read_page(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if family.type == "histogram" and "le" in labels:
                labels["le"] = repr(float(labels["le"]))
            found[sample.name, frozenset(labels.items())] = sample.value
    return found


def test_the_exporter_sends_what_its_page_shows(
    receiver: Receiver, start_exporter: StartExporter, monkeypatch: pytest.MonkeyPatch
):
    """Every family and label of a page of all default collectors; values that stand still are equal."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "300")
    exporter = start_exporter(f"--otlp.endpoint={receiver.url}")
    text = exporter.get()
    assert 'perfloop_otlp_exports_total{outcome="failed"} 0' in text
    assert f'msg="sending by OTLP" endpoint={receiver.url}/v1/metrics' in exporter.log()
    receiver.wait()
    assert exporter.stop() == 0
    assert set(receiver.paths) == {"/v1/metrics"}
    assert receiver.resource()["service.name"] == "host"
    sent, shown = samples_of(receiver.metrics()), page_samples(text)
    # Disks, interfaces and the like may come and go between the two.
    assert len(sent.keys() & shown.keys()) > 0.98 * len(shown)
    assert {name for name, _ in sent} >= {name for name, _ in shown} - {"promhttp_metric_handler_requests_total"}
    still = [key for key in shown if key[0] in ("node_memory_MemTotal_bytes", "node_uname_info", "node_cpu_info")]
    assert still
    assert {key: sent[key] for key in still} == {key: shown[key] for key in still}


def test_an_instrumented_app_sends_what_its_page_shows(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    """Families, values, buckets and exemplars are those of the page, and the process's own beside them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{SECRET}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    registry = MetricRegistry()
    app = FastAPI()
    app.get("/items/{item}")(lambda item: item)
    with run_server(instrument(app, registry=registry)) as server:
        for number in range(20):
            server.http.get(f"/items/{number}", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        server.await_value(
            "http_server_request_duration_seconds_count",
            20.0,
            http_request_method="GET",
            http_route="/items/{item}",
            http_response_status_code="200",
        )
        page = server.http.get("/metrics").text
        telemetry = group_of(registry).when_joined.__self__  # type: ignore[attr-defined]  # the one that was started
        assert isinstance(telemetry, Telemetry)
        telemetry._sender.send()
        telemetry._sender.stop(0)
    receiver.wait()
    assert receiver.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert receiver.resource()["service.name"] == "shop"
    sent, shown = samples_of(receiver.metrics()), page_samples(page)
    ours = {key: value for key, value in shown.items() if key[0].startswith("http_server_")}
    assert len(ours) > 100
    assert {key: sent.get(key) for key in ours} == ours
    started = {name for name, _ in shown if name.endswith("_created")}
    assert {name for name, _ in shown} - started <= {name for name, _ in sent}
    (point,) = receiver.metrics()["http_server_request_duration_seconds"].histogram.data_points
    (exemplar,) = point.exemplars[:1]
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
def test_a_refusal_is_said_once_and_counted(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int
):
    """One warning when it begins, one line when it is over; the header's value is in neither."""
    receiver.status = status
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5" if status == 503 else "30")
    sender = sender_to(f"{receiver.url}/v1/metrics", authorization=f"Bearer {SECRET}")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            sender.send()
        receiver.status = 200
        sender._close()  # a new one follows, with the time that a busy machine needs
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
        sender.send()
        sender.send()
    sender.stop()
    assert sender.counts == {"sent": 2, "failed": 3}
    first, last = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert first.startswith(f"metrics are not sent to {receiver.url}/v1/metrics: ")
    assert "again" in last
    assert SECRET not in caplog.text
    assert (str(status) in first) == (status != 503)  # which the SDK tries again before it gives up


def test_an_unreachable_endpoint_disturbs_nothing(caplog: pytest.LogCaptureFixture):
    """The thread waits, the program does not: it is stopped within the time that it allows."""
    sender = sender_to("http://127.0.0.1:1/v1/metrics", interval=0.05)
    sender.start()
    with caplog.at_level(logging.WARNING):
        started = time.monotonic()
        time.sleep(0.3)
        sender.stop()
        assert time.monotonic() - started < 20
    assert sender.counts["sent"] == 0
    assert all("Connection refused" in record.getMessage() for record in caplog.records)


def test_what_other_threads_log_goes_on(receiver: Receiver, caplog: pytest.LogCaptureFixture):
    """An application that uses the SDK itself sees its own failures as before."""
    sender = sender_to(f"{receiver.url}/v1/metrics")
    sender.send()
    sender.stop()
    logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter").error("the application's own")
    assert "the application's own" in caplog.text


def test_a_page_that_cannot_be_read_is_counted(receiver: Receiver):
    """Whatever `collect` raises stays in the sender."""

    def fail() -> None:
        raise RuntimeError("no page")

    sender = Sender(Destination(f"{receiver.url}/v1/metrics"), fail, time.time())
    sender.send()
    assert sender.counts == {"sent": 0, "failed": 1}


def test_a_wrong_variable_keeps_no_service_down(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """It starts, answers, and says in one line why nothing is sent."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "soon")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", SECRET)
    app = FastAPI()
    app.get("/x")(lambda: "x")
    with run_server(instrument(app, registry=MetricRegistry())) as server:
        assert server.http.get("/x").status_code == 200
        assert "perfloop_otlp_exports_total" not in server.http.get("/metrics").text
    (record,) = [one for one in caplog.records if "OTLP" in one.getMessage()]
    assert "OTEL_METRIC_EXPORT_INTERVAL" in record.getMessage()
    assert "entry 1" in record.getMessage()
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "flags",
    [("--otlp.endpoint=collector:4318",), ("--otlp.endpoint=ftp://x", "--collector.deadline=soon")],
)
def test_the_exporter_does_not_start_with_a_wrong_endpoint(flags: tuple[str, ...], checkout: Path):
    """Every problem is a sentence of its own, and the exit code is that of wrong flags."""
    command = [sys.executable, "-m", "perfloop_exporter", "--web.listen-address=127.0.0.1:0", *flags]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=checkout, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == len(flags)
    assert "--otlp.endpoint" in done.stderr


def test_of_several_workers_one_sends_for_all(receiver: Receiver, tmp_path: Path, checkout: Path):
    """What arrives is the sum over the workers, from one of them; when it ends, another goes on."""
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_SERVICE_NAME": "workers",
        "PERFLOOP_WORKERS_DIR": str(tmp_path),
        "PYTHONPATH": str(checkout),
    }
    (port,) = find_free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "tests.exporter.instrument.worker_app:app"]
    command += ["--workers", "2", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, env=environment, cwd=checkout)
    url = f"http://127.0.0.1:{port}"

    def has_workers() -> bool:
        try:
            # A connection each, so that both workers are asked.
            text = httpx.get(f"{url}/metrics").text
        except httpx.TransportError:
            return False
        return "perfloop_workers 2" in text

    def leaders() -> list[int]:
        """Return the workers that hold the lock."""
        return [child.pid for child in psutil.Process(process.pid).children(recursive=True) if _holds_lock(child)]

    try:
        wait_for(has_workers, "both workers", 90)
        wait_for(lambda: len(receiver.requests) > 3, "several exports", 60)
        metrics = receiver.metrics()
        assert metrics["perfloop_workers"].gauge.data_points[0].as_double == 2.0
        (leader,) = leaders()
        os.kill(leader, signal.SIGKILL)
        wait_for(lambda: leaders() not in ([], [leader]), "another worker to lead", 60)
        before = len(receiver.requests)
        wait_for(lambda: len(receiver.requests) > before + 1, "its exports", 60)
    finally:
        process.terminate()
        process.wait(60)


def _holds_lock(process: psutil.Process) -> bool:
    try:
        return any(file.path.endswith("otlp.lock") for file in process.open_files())
    except psutil.Error:  # it has just ended
        return False
