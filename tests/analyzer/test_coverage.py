"""No data is not health: nothing finite, no score; and every page, command and answer says how much is not seen."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import numpy as np
import pytest

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.cli import main
from perfloop_analyzer.findings import OVERALL
from perfloop_analyzer.pipeline import Knowledge, analyze
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.published import Published
from perfloop_analyzer.reporters.html import render_page
from perfloop_analyzer.reporters.metrics import result_families
from perfloop_analyzer.series import Batch, Grid
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRID = Grid(1000.0, 5.0, 60)
CATALOG = load_catalog()
JUDGED = sum(bool(signal.detect) for signal in CATALOG)


def _analyze(**services: dict[str, float]) -> Any:
    """Analyze services with signals of constant values; NaN is a series without data."""
    signals = sorted({name for values in services.values() for name in values})
    batches = {}
    for name in signals:
        rows = {service: values[name] for service, values in services.items() if name in values}
        values = np.array([np.full(GRID.points, value) for value in rows.values()])
        batches[name] = Batch(name, GRID, tuple({"service": service} for service in rows), values)
    return analyze(Responses(batches, {}), Knowledge(CATALOG, ()), GRID.end)


def _scores(result: Any) -> dict[str, float]:
    return {one.service: one.score for one in result.health}


def test_a_score_needs_a_finite_value() -> None:
    """A service whose own signals have no data has none, although its target answers; the others keep theirs."""
    nan = float("nan")
    result = _analyze(
        shop={"availability": 1.0, "api_response_time_p95": nan, "error_ratio": nan},
        mail={"availability": 1.0, "api_response_time_p95": 0.1, "error_ratio": nan},
        inbox={"availability": 1.0},
    )
    assert _scores(result) == {OVERALL: 100.0, "mail": 100.0, "inbox": 100.0}
    assert [one.service for one in result.without_score()] == ["shop"]
    words = {one.service: one.words for one in result.unseen}
    assert words["shop"] == "no data for 2 of 3 signals"
    assert words["mail"] == "no data for 1 of 3 signals"
    assert words[OVERALL] == f"no data for {JUDGED - 2} of {JUDGED} signals"
    page = render_page(Published(result=result, catalog=CATALOG), GRID.end)
    assert "No data for 2 of 3 signals" in page
    assert "unknown" in page


def test_signals_without_data_are_counted_for_each_service() -> None:
    """A service whose signals all have data has no series, nor has the catalogue's rest that nobody exports."""
    result = _analyze(
        shop={"availability": 1.0, "api_response_time_p95": float("nan"), "error_ratio": float("nan")},
        mail={"availability": 1.0, "error_ratio": 0.0},
    )
    families = {family.name: family.samples for family in result_families(result)}
    found = [(sample.labels, sample.value) for sample in families["perfloop_signals_without_data"]]
    assert found == [({"service": "shop"}, 2)]


def test_a_service_that_is_down_keeps_its_score_of_zero() -> None:
    """That is known."""
    result = _analyze(shop={"availability": 0.0, "error_ratio": float("nan")})
    assert _scores(result) == {OVERALL: 0.0, "shop": 0.0}


def test_nothing_at_all_has_no_score() -> None:
    """All NaN, or no series: the page, the JSON and the words say so."""
    for result in (_analyze(shop={"error_ratio": float("nan")}), _analyze()):
        assert result.health == ()
        assert result.as_dict()["no_data"][0]["words"] == f"no data for {JUDGED} of {JUDGED} signals"
        page = render_page(Published(result=result, catalog=CATALOG), GRID.end)
        assert f"no data for {JUDGED} of {JUDGED} signals" in page
        assert ">100<" not in page


@pytest.fixture
def constant() -> Iterator[tuple[dict[str, Any], str]]:
    """A server in Prometheus's place that gives every query one series of the same samples."""
    state: dict[str, Any] = {"value": "NaN", "form": "values"}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
            times = [start + at * step for at in range(round((end - start) / step) + 1)]
            rows = [{"metric": {"service": "shop"}, state["form"]: [[at, state["value"]] for at in times]}]
            answer = {"status": "success", "data": {"resultType": "matrix", "result": rows if state["value"] else []}}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("value", ["NaN", "+Inf", ""])
def test_one_look_at_nothing_fails(constant: Any, capfd: Any, tmp_path: Path, value: str) -> None:
    """NaN, infinite, or no series: no score, the reason, and an exit code of its own."""
    state, url = constant
    state["value"] = value
    assert main(["once", f"--prometheus.url={url}"]) == ExitCode.SOURCE_UNAVAILABLE
    printed = capfd.readouterr().out
    assert f"no data for {JUDGED} of {JUDGED} signals" in printed
    assert "100 (no findings)" not in printed
    assert main(["once", "--json", f"--prometheus.url={url}"]) == ExitCode.SOURCE_UNAVAILABLE
    answer = json.loads(capfd.readouterr().out)
    assert (answer["health"], answer["no_data"][0]["total"]) == ([], JUDGED)
    page = tmp_path / "report.html"
    assert main(["report", f"--html={page}", f"--prometheus.url={url}"]) == ExitCode.SOURCE_UNAVAILABLE
    assert f"no data for {JUDGED} of {JUDGED} signals" in page.read_text()


def test_native_histograms_alone_are_seen(constant: Any, capfd: Any) -> None:
    """Every answer in native histograms: values, a score, and no word about missing data."""
    state, url = constant
    state |= {"form": "histograms", "value": {"count": "10", "sum": "1", "buckets": [[0, "0.05", "0.1", "10"]]}}
    assert main(["once", "--json", f"--prometheus.url={url}"]) == ExitCode.OK
    answer = json.loads(capfd.readouterr().out)
    assert answer["no_data"][0]["signals"] == []
    assert {one["service"] for one in answer["health"]} >= {OVERALL, "shop"}
