"""The running stack, through the interfaces that users have: the `perfloop` command, PromQL and HTTP."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import yaml

from perfloop_base.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

T = TypeVar("T")

_LOAD = Path(__file__).with_name("load.yml")
_NEEDED = ("demo", "inbox", "prometheus", "alertmanager", "analyzer", "loadgen")
# Of mail that goes to the inbox (alertmanager/alertmanager.yml).
_INBOX_SENDER = "perfloop@localhost"
# The slowest step, the resolved notification, takes about 85 s on a quiet machine.
_PATIENCE_SECONDS = 180
_PAUSE_SECONDS = 1
# Three pairs of short blocks show a fault of ten times the usual; a gate proves nothing with fewer than five runs.
PROOF = ("--pairs", "3", "--block", "10s", "--settle", "2s")
GATE = ("--test", "gate", "--repeat", "5", "--min-effect", "25", "--cannot-tell", "pass")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load test measured."""

    requests: int
    failed: int
    p95_seconds: float


def run_perfloop(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `perfloop` command."""
    command = [sys.executable, "-m", "perfloop", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command


class Stack:
    """A running stack."""

    def __init__(self, urls: Mapping[str, str], *, was_running: bool) -> None:
        self.urls = urls
        self.was_running = was_running
        self._client = httpx.Client(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @classmethod
    def find(cls) -> Self:
        """Return the running stack; start it if there is none.

        Raises:
            StartError: it did not start, or a component is not healthy.
        """
        urls = _read_urls()
        if urls is not None:
            return cls(urls, was_running=True)
        done = run_perfloop("up")
        urls = _read_urls()
        if done.returncode or urls is None:
            raise StartError(f"The stack did not start: {_last_line(done.stderr)}")
        return cls(urls, was_running=False)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of a PromQL query, each with its labels under `metric` and its number under `value`."""
        answer = self._call("GET", "prometheus", "/api/v1/query", params={"query": expression})
        result = answer.json()["data"]["result"]
        return [{**series, "value": float(series["value"][1])} for series in result]

    def find_messages(self, **filters: str) -> list[dict[str, Any]]:
        """Return the inbox's messages, newest first."""
        messages: list[dict[str, Any]] = self._call("GET", "inbox", "/api/messages", params=filters).json()
        return messages

    def find_outside(self) -> frozenset[str]:
        """Return the channels that go to their real services, as the running Alertmanager has them."""
        try:
            config = yaml.safe_load(self._call("GET", "alertmanager", "/api/v2/status").json()["config"]["original"])
            return outside_channels(config)
        except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise StartError(f"alertmanager did not say where its channels go: {error!r}") from error

    def count_requests(self, channel: str) -> tuple[float, float]:
        """Return Alertmanager's requests by a channel since it started, and those that failed."""
        text = self._call("GET", "alertmanager", "/metrics").text
        totals = []
        for name in ("requests_total", "requests_failed_total"):
            row = rf'^alertmanager_notification_{name}\{{[^}}]*integration="{channel}"[^}}]*\}} (\S+)$'
            totals.append(sum(map(float, re.findall(row, text, re.MULTILINE))))
        return totals[0], totals[1]

    def break_demo(self, **faults: float) -> None:
        """Switch faults of the demo on."""
        self._call("PUT", "demo", "/faults", json=faults)

    def heal_demo(self) -> None:
        """Switch every fault of the demo off."""
        self._call("DELETE", "demo", "/faults")

    def test_load(self, *flags: str) -> LoadResult:
        """Run the tour's load test against the demo; more flags are those of `perfloop loadgen run`."""
        with tempfile.TemporaryDirectory() as directory:
            report = Path(directory) / "report.json"
            common = ("--url", self.urls["demo"], "--report.json", str(report))
            done = run_perfloop("loadgen", "run", str(_LOAD), *common, *flags)
            if not report.exists():
                raise StartError(f"The load test wrote no report: {_last_line(done.stderr)}")
            total = json.loads(report.read_text())["summary"]["total"]
        p95 = total["response"]["quantiles_seconds"]["p95"]
        return LoadResult(total["total_requests"], total["failed_requests"], p95)

    def gate(self, baseline: str) -> tuple[int, str]:
        """Compare the demo with a baseline, as a pipeline does; return the exit code and the verdict in words."""
        flags = ("--url", self.urls["demo"], "--baseline", baseline, *GATE)
        done = run_perfloop("loadgen", "gate", str(_LOAD), *flags)
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if not lines:
            raise StartError(f"The gate printed nothing: {_last_line(done.stderr)}")
        return done.returncode, lines[0].lstrip("# ")

    def decide(self, step: str, identifier: str) -> None:
        """Accept a recommendation, or mark it as implemented."""
        done = run_perfloop("analyzer", step, identifier)
        if done.returncode:
            raise StartError(f"The recommendation could not be changed: {_last_line(done.stderr)}")

    def recommendation(self, identifier: str) -> dict[str, Any]:
        """Return a recommendation with its state, as the analyzer has it."""
        found: dict[str, Any] = self._call("GET", "analyzer", f"/api/v1/recommendations/{identifier}").json()
        return found

    def cause(self) -> str:
        """Return the most probable cause of what is wrong with the demo, in words; empty while none is known."""
        for incident in self._call("GET", "analyzer", "/api/v1/incidents").json()["incidents"]:
            if "demo" in incident["services"]:
                first = incident["causes"][0]
                return f"{first['component']} of {first['service']} ({first['score']:.0%}): {first['evidence'][0]}"
        return ""

    def prove(self, identifier: str, **faults: float) -> dict[str, Any]:
        """Prove a recommendation: the incident's load, in turn with the faults and without them."""
        switch = [sys.executable, "-m", "perfloop_demo.tour.switch", self.urls["demo"]]
        again = [f"{name}={value}" for name, value in faults.items()]
        sides = ("--url", self.urls["demo"], "--apply", shlex.join(switch), "--revert", shlex.join([*switch, *again]))
        done = run_perfloop("prove", identifier, *sides, *PROOF, "--json")
        start = done.stdout.find("{\n")
        if start < 0:
            raise StartError(f"The proof ended without a result: {_last_line(done.stderr)}")
        found: dict[str, Any] = json.loads(done.stdout[start:])
        return found

    def _call(self, method: str, part: str, path: str, **options: Any) -> httpx.Response:
        url = f"{self.urls[part]}{path}"
        try:
            return self._client.request(method, url, **options).raise_for_status()
        except httpx.HTTPError as error:
            raise StartError(f"{part} did not answer {method} {url}: {error}") from error


def outside_channels(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the channels of a configuration of Alertmanager that do not end in the inbox.

    Those of the inbox have address and key in the configuration, and the committed sender; those of real services have
    files for the first two, and a sender of their own (docs/alerting.md).
    """
    found = set() if config["global"]["smtp_from"] == _INBOX_SENDER else {"email"}
    for receiver in config["receivers"]:
        for channel in receiver.get("slack_configs") or []:
            if "api_url_file" in channel or "authorization" in (channel.get("http_config") or {}):
                found.add("slack")
        if any("routing_key_file" in channel for channel in receiver.get("pagerduty_configs") or []):
            found.add("pagerduty")
    return frozenset(found)


def wait_for(probe: Callable[[], T], what: str, seconds: float = _PATIENCE_SECONDS) -> T:
    """Return the first true answer of `probe`, which is called once a second.

    Raises:
        StartError: none came in time; the message contains `what`.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise StartError(
                f"Waited {seconds:g} s for {what}; `perfloop status` and `perfloop logs NAME` show the reason."
            )
        time.sleep(_PAUSE_SECONDS)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _read_urls() -> dict[str, str] | None:
    done = run_perfloop("status", "--json")
    try:
        parts = json.loads(done.stdout)["parts"]
    except (ValueError, KeyError, TypeError):
        return None
    urls = {part["name"]: str(part["url"]).rstrip("/") for part in parts if part["healthy"]}
    missing = [name for name in _NEEDED if name not in urls]
    if parts and missing:
        raise StartError(f"Not healthy: {', '.join(missing)}. Run `perfloop down`, then the tour again.")
    return urls if parts else None
