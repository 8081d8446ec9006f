"""Samples on both sides, counted: through outages of the store, a full disk, refusals, and the loss of one of the pair.

Real programs with the committed settings of prometheus/remote_write.yml; every scrape of the target is another value.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from perfloop.fill.app import fill
from perfloop.fill.config import FillConfig
from perfloop.stack import programs
from perfloop.stack.remote_state import describe, find_reason, look, read_facts
from tests.support.remote_store import (
    Load,
    Pair,
    read_metric,
    render,
    run_pair,
    serve,
    small_disk,
    start_prometheus,
    start_store,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("long-term")]
LONG = bool(os.environ.get("PERFLOOP_LONG_TESTS"))
# Not deduplicated: with one Prometheus both sides have the same samples, to the millisecond.
EVERY_SAMPLE = "-dedup.minScrapeInterval=1ms"
MILLISECONDS = 1000


@pytest.fixture(scope="module")
def binaries(prometheus_binary: str) -> dict[str, str]:
    """The real programs."""
    store = programs.find("victoria-metrics")
    if store is None:
        pytest.skip("victoria-metrics is neither on PATH nor in .perfloop/bin: run `make tools`")
    return {"prometheus": prometheus_binary, "victoria-metrics": str(store)}


@pytest.fixture
def load() -> Load:
    """A target of 200 series, or of 5,000 where tests may be long."""
    return Load(5000 if LONG else 200)


@pytest.fixture
def target(load: Load) -> Iterator[str]:
    """Its address."""
    with serve(load) as address:
        yield address


def _stored(pair: Pair, start: float, end: float) -> dict[str, list[float]]:
    return pair.moments(pair.store.url, "load_total", start, end)


def _wait_sent(pair: Pair, until: float) -> None:
    wait_for(lambda: pair.sent_all(until), "everything to be sent", 120)
    time.sleep(2)  # what was taken is found within a second


def _config(pair: Pair, since: float, until: float, now: float) -> FillConfig:
    urls = {"prometheus_url": pair.prometheus[0].url, "store_url": pair.store.url}
    return FillConfig(since=now - since, until=now - until, metrics="load_.*", **urls)


def test_no_gap_after_an_outage_under_load(binaries: dict[str, str], target: str, tmp_path: Path, load: Load):
    """The store is killed, comes back, and has every sample of Prometheus, none twice: counted on both sides."""
    outage = 120.0 if LONG else 6.0
    with run_pair(binaries, tmp_path, target, flags=[EVERY_SAMPLE]) as pair:
        (source,) = pair.prometheus
        wait_for(lambda: _stored(pair, time.time() - 60, time.time()), "the first samples")
        begun = time.time()
        time.sleep(2)
        killed = time.time()
        pair.store.end(signal.SIGKILL)
        time.sleep(outage)
        pair.store.start()
        back = time.time()
        _wait_sent(pair, back)
        assert read_metric(source.url, "prometheus_remote_storage_samples_failed_total") == 0
        assert read_metric(source.url, "prometheus_remote_storage_samples_retried_total") > 0
        have = pair.moments(source.url, "load_total", begun, back)
        stored = _stored(pair, begun, back)
        assert len(have) == load.series
        assert sum(map(len, have.values())) >= load.series * (outage - 1), "the load went on"
        assert {n: m for n, m in stored.items() if len(m) != len(set(m))} == {}, "a sample twice"
        # A store that is killed loses what it had taken within its last second or two: nothing that came later.
        lost = [at for n, moments in have.items() for at in set(moments) - set(stored.get(n, []))]
        assert max(lost, default=0.0) < killed, "a gap of the outage"
        now = time.time()
        assert fill(_config(pair, begun, back, now), now, lambda _: None).written == len(lost)
        wait_for(lambda: _stored(pair, begun, back) == have, "both sides to have the same")


def test_a_store_that_ends_in_order_loses_nothing(binaries: dict[str, str], target: str, tmp_path: Path, load: Load):
    """Stopped and started again, as an update does: both sides have the same samples, to the last."""
    with run_pair(binaries, tmp_path, target, flags=[EVERY_SAMPLE]) as pair:
        (source,) = pair.prometheus
        wait_for(lambda: _stored(pair, time.time() - 60, time.time()), "the first samples")
        begun = time.time()
        pair.store.end()
        time.sleep(3)
        pair.store.start()
        back = time.time()
        _wait_sent(pair, back)
        have = pair.moments(source.url, "load_total", begun, back)
        assert len(have) == load.series
        assert have == _stored(pair, begun, back)


def _intervals(moments: list[float]) -> list[int]:
    """Return the scrape interval that each moment is of, as the store counts them: (0, 1], (1, 2] … seconds."""
    return [-(-round(at * MILLISECONDS) // MILLISECONDS) for at in moments]


def test_a_pair_is_one(binaries: dict[str, str], target: str, tmp_path: Path, load: Load):
    """Two write, one sample of each interval is kept; the loss of one of them leaves no gap."""
    with run_pair(binaries, tmp_path, target, replicas=2) as pair:
        wait_for(lambda: _stored(pair, time.time() - 60, time.time()), "the first samples")
        begun = time.time()
        time.sleep(3)
        pair.prometheus[0].end(signal.SIGKILL)
        time.sleep(4)
        pair.prometheus[0].start()
        time.sleep(2)
        until = time.time()
        _wait_sent(pair, until)
        stored = _stored(pair, begun, until)
        assert len(stored) == load.series, "a label that differs makes two series of one"
        second = pair.moments(pair.prometheus[1].url, "load_total", begun, until)
        for n, moments in stored.items():
            found = _intervals(moments)
            assert len(found) == len(set(found)), f"{n}: an interval has two samples"
            missing = set(_intervals(second[n])) - set(found)
            assert not missing, f"{n}: the one that ran on has samples that the store lacks"


def test_what_a_restart_forgets_is_filled(binaries: dict[str, str], target: str, tmp_path: Path):
    """Prometheus sends after a restart only what came since: `perfloop fill` writes what it still has, and once."""
    with run_pair(binaries, tmp_path, target) as pair:
        (source,) = pair.prometheus
        wait_for(lambda: _stored(pair, time.time() - 60, time.time()), "the first samples")
        begun = time.time()
        pair.store.end()
        time.sleep(5)
        source.end(signal.SIGKILL)
        source.start()
        time.sleep(2)
        pair.store.start()
        until = time.time()
        _wait_sent(pair, until)
        now = time.time()
        config = _config(pair, begun, until, now)
        said: list[str] = []
        found = fill(config, now, said.append)
        assert found.missing == found.written > 0
        assert len(said) == len(found.windows)
        time.sleep(2)
        again = fill(config, now, said.append)
        assert (again.missing, again.written) == (0, 0)
        assert again.compared == found.compared


def _wait_full(pair: Pair) -> list[str]:
    """Wait until the store takes no samples, and return what is said about it."""
    (source,) = pair.prometheus
    retried = "prometheus_remote_storage_samples_retried_total"
    wait_for(lambda: read_metric(source.url, retried) > 0, "a request that is tried again", 90)
    wait_for(lambda: pair.number("vm_storage_is_read_only") == 1, "the store's own word", 90)
    wait_for(lambda: pair.number(f"rate({retried}[1m])") > 0, "the requests as a series", 90)
    return list(look(source.url, lambda: source.log.read_text(errors="replace")).troubles)


def _nothing_is_lost(pair: Pair, begun: float, back: float) -> None:
    """Both sides have the same: what waited on the disk of Prometheus was sent, and nothing was refused for good."""
    (source,) = pair.prometheus
    _wait_sent(pair, back)
    assert read_metric(source.url, "prometheus_remote_storage_samples_failed_total") == 0
    have = pair.moments(source.url, "load_total", begun, back)
    assert have
    wait_for(lambda: _stored(pair, begun, back) == have, "both sides to have the same")


def test_a_full_disk_is_said_and_nothing_is_lost(binaries: dict[str, str], target: str, tmp_path: Path):
    """The store takes no samples and answers queries; status has its words; once there is space, all is sent."""
    disk = tmp_path / "disk"
    if not small_disk(disk, 48):
        pytest.skip("a small disk cannot be mounted by this user: run as root")
    ballast = disk / "ballast"
    try:
        ballast.write_bytes(b"\0" * (40 << 20))
        with run_pair(binaries, tmp_path, target, flags=[EVERY_SAMPLE], disk=disk) as pair:
            begun = time.time()
            sentences = _wait_full(pair)
            assert any("samples cannot be delivered, and wait" in one for one in sentences), sentences
            assert any("read-only mode" in one for one in sentences), sentences
            assert any("the disk of the long-term store is full" in one for one in sentences), sentences
            assert httpx.get(f"{pair.store.url}/api/v1/query?query=1").status_code == 200, "it answers all the same"
            pair.store.end()
            ballast.unlink()
            pair.store.start()
            _nothing_is_lost(pair, begun, time.time())
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)


@pytest.mark.skipif(not LONG, reason="takes two minutes: set PERFLOOP_LONG_TESTS=1 to run it")
def test_a_disk_that_fills_while_samples_come(binaries: dict[str, str], target: str, tmp_path: Path):
    """The store notices within half a minute, takes samples again without a restart, and then has all of them."""
    disk = tmp_path / "disk"
    if not small_disk(disk, 400):
        pytest.skip("a small disk cannot be mounted by this user: run as root")
    try:
        with run_pair(binaries, tmp_path, target, flags=[EVERY_SAMPLE], disk=disk) as pair:
            wait_for(lambda: _stored(pair, time.time() - 60, time.time()), "the first samples")
            begun = time.time()
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / "ballast").write_bytes(b"\0" * (free - (8 << 20)))
            assert any("wait in the write-ahead log" in one for one in _wait_full(pair))
            (disk / "ballast").unlink()
            wait_for(lambda: read_metric(pair.store.url, "vm_storage_is_read_only") == 0, "space")
            _nothing_is_lost(pair, begun, time.time())
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)


@contextlib.contextmanager
def _workspace(status: int, words: str) -> Iterator[str]:
    """A workspace that answers every request to write with one status and one sentence."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(words.encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "words", "sentence"),
    [
        (
            400,
            "out of order sample",
            "refused within an hour (server returned HTTP status 400 Bad Request: out of order",
        ),
        (422, "series has 41 labels (limit: 40)", "422 Unprocessable Entity: series has 41 labels (limit: 40)"),
        (401, "invalid token", "refused within an hour (server returned HTTP status 401 Unauthorized: invalid token)"),
        (429, "ingestion rate limit exceeded", "samples cannot be delivered, and wait in the write-ahead log (server"),
        (
            503,
            "ingesters are starting",
            "write-ahead log (server returned HTTP status 503 Service Unavailable: ingesters",
        ),
    ],
    ids=["out of order", "too many labels", "wrong credential", "rate limit", "not ready"],
)
def test_a_workspace_that_refuses_is_one_sentence(
    binaries: dict[str, str], tmp_path: Path, status: int, words: str, sentence: str
):
    """What Prometheus throws away and what it goes on sending are two sentences, each with the workspace's words."""
    with serve(Load(3)) as target, _workspace(status, words) as url:
        text = render(target, "http://127.0.0.1:1", "prometheus", lambda entry: entry.update(url=url))
        source = start_prometheus(binaries["prometheus"], tmp_path, text, "prometheus")
        try:
            counted = "failed" if status in {400, 401, 422} else "retried"
            name = f"prometheus_remote_storage_samples_{counted}_total"
            wait_for(lambda: read_metric(source.url, name) > 0, "an answer of the workspace")
            wait_for(lambda: [one for one in _said(source.url, source.log) if sentence in one], sentence)
        finally:
            source.end()


def _said(url: str, log: Path) -> list[str]:
    facts = read_facts(url) or []
    return list(describe(facts, lambda: find_reason(log.read_text(errors="replace"))))


def test_what_the_store_leaves_out_is_said(binaries: dict[str, str], tmp_path: Path):
    """It answers 204: its own counts say that samples were too old, or had too many labels."""
    store = start_store(binaries["victoria-metrics"], tmp_path)
    try:
        with serve(Load(3)) as target:
            text = render(target, store.url, "prometheus")
            source = start_prometheus(binaries["prometheus"], tmp_path, text, "prometheus")
            try:
                wait_for(lambda: read_metric(source.url, "prometheus_remote_storage_samples_total") > 0, "samples")
                time.sleep(2)  # so that there is a count from before
                old = round((time.time() - 3 * 365 * 86_400) * 1000)
                labels = ",".join(f'l{n}="v"' for n in range(70))
                for line in (f"old 1 {old}", f"wide{{{labels}}} 1"):
                    answer = httpx.post(f"{store.url}/api/v1/import/prometheus", content=f"{line}\n")
                    assert answer.status_code == 204
                found = wait_for(lambda: len(said := _said(source.url, source.log)) > 1 and said, "both sentences")
                assert any("the store left out 1 samples within an hour: small_timestamp" in one for one in found), (
                    found
                )
                assert any("the store cut labels off" in one or "too_many_labels" in one for one in found), found
            finally:
                source.end()
    finally:
        store.end()
