"""One run, counted by everything that was part of it: the demo's own series, the live series, and each report."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import sys
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

from perfloop_base.errors import ExitCode
from tests.support.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEST = """
load_tests:
  counted:
    base_url: {url}
    duration_seconds: 3
    concurrent_users: 3
    think_time_seconds: 0.01
    endpoints:
      - {{path: /health, weight: 2}}
      - {{path: /api/v1/search, method: POST, data: {{query: "which cache answers", limit: 2}}}}
      - {{path: /no-such-page, expected_status: 200}}
    thresholds: [errors < 50 %]
    generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 60}}
"""
COUNTED = ("loadgen_response_seconds_count", "loadgen_responses_total")
ENDPOINTS = {"GET /health", "POST /api/v1/search", "GET /no-such-page"}


def _samples(text: str, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return the samples of one name by their labels."""
    return {
        frozenset(sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def _has_verdict(text: str) -> bool:
    """Return whether a page of the load generator shows the end of the run."""
    return "\nloadgen_verdict{" in text


def _served(text: str) -> int:
    """Return how many requests the demo has served, those for its metrics left out."""
    counts = _samples(text, "http_server_request_duration_seconds_count")
    return round(sum(count for labels, count in counts.items() if ("http_route", "/metrics") not in labels))


async def _get(client: httpx.AsyncClient, url: str, is_good: Callable[[str], bool] = bool) -> str:
    """Return a page once the server answers and the page is what was waited for."""
    for _ in range(1800):
        with contextlib.suppress(httpx.TransportError):
            if is_good(page := (await client.get(url)).text):
                return page
        await asyncio.sleep(0.05)
    raise AssertionError(url)


async def test_demo_and_reports_count_the_same_requests(tmp_path: Path, free_port: int):
    """The demo's counters, the live series, stdout, JSON, HTML, CSV: one number, to the request."""
    test, live = tmp_path / "t.yml", f"http://127.0.0.1:{free_port}/metrics"
    flags = ["--web.listen-address=127.0.0.1:0", f"--data.dir={tmp_path / 'data'}"]
    reports = {kind: tmp_path / f"r.{kind}" for kind in ("json", "html", "csv")}
    with run_program("perfloop_demo.service", flags, tmp_path) as demo:
        url = str(demo.client.base_url)
        test.write_text(TEST.format(url=url))
        command = ["run", str(test), f"--web.listen-address=127.0.0.1:{free_port}"]
        command += [f"--report.{kind}={path}" for kind, path in reports.items()]
        async with httpx.AsyncClient(timeout=30) as client:
            before = _served(await _get(client, f"{url}/metrics"))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "perfloop_loadgen", *command, stdout=-1, stderr=-1, cwd=tmp_path
            )
            try:
                last = await _get(client, live, _has_verdict)
            except AssertionError:
                process.kill()
                raise
            finally:
                out, err = await process.communicate()
            total = json.loads(reports["json"].read_bytes())["summary"]["total"]["total_requests"]
            # The demo counts an answer just after its last byte.
            served = _served(await _get(client, f"{url}/metrics", lambda page: _served(page) >= before + total))
    assert process.returncode == ExitCode.OK, err
    requests = _samples(last, "loadgen_requests_total")
    assert {value for labels in requests for name, value in labels if name == "endpoint"} == ENDPOINTS
    assert served - before == total == sum(requests.values())
    assert {total} == {sum(_samples(last, name).values()) for name in COUNTED}
    assert f"  {total} requests in " in out.decode()
    assert f'data-value="{total}"' in reports["html"].read_text()
    assert total == sum(int(row["requests"]) for row in csv.DictReader(reports["csv"].read_text().splitlines()))
