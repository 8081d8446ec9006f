"""What keeps the parts busy in the endurance run: services to scrape, scrapes, messages, boards and restarts.

Each kind of work is as much as 24 hours have, done evenly over the time of the run.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).resolve().parent.parent
SERVICES = 200
SERIES_PER_SERVICE = 250
BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "7.5", "10.0", "30.0", "+Inf")
ROUTES = ("/search", "/text", "/image", "/chat", "/agents")
BOARD_SECONDS = 3600


@dataclass
class Work:
    """One kind of work: how often it is to be done, how often it was, and what went wrong."""

    name: str
    goal: int
    do: Callable[[int], None]
    done: int = 0
    errors: list[str] = field(default_factory=list)

    def run(self, seconds: float, stop: threading.Event) -> None:
        """Do it `goal` times, evenly over `seconds`; what a busy machine delays is done as soon as it can be."""
        begin = time.monotonic()
        for number in range(self.goal):
            if stop.wait(max(0.0, begin + number * seconds / self.goal - time.monotonic())):
                return
            try:
                self.do(number)
            except (OSError, ValueError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self.done += 1


def render_service(index: int, at: float) -> str:
    """Return the page of one service: 250 series of the wire contract, whose counters grow with time."""
    lines = []
    for number, route in enumerate(ROUTES):
        rate = (5 + (index * 7 + number * 3) % 20) * at
        for status in ("200", "404", "500"):
            # As few errors and as fast as the objectives ask for: 200 burning budgets would test the alerting.
            count = int(rate * {"200": 0.9899, "404": 0.01, "500": 0.0001}[status])
            labels = f'http_request_method="GET",http_route="{route}",http_response_status_code="{status}"'
            name = "http_server_request_duration_seconds"
            shares = [min(1.0, 0.4 + place * 0.2) for place in range(len(BUCKETS))]
            for le, share in zip(BUCKETS, shares, strict=True):
                lines.append(f'{name}_bucket{{{labels},le="{le}"}} {int(count * share)}')
            lines += [f"{name}_sum{{{labels}}} {count * 0.01:.3f}", f"{name}_count{{{labels}}} {count}"]
    lines += [
        f"process_cpu_seconds_total {at * 0.2:.3f}",
        f"process_resident_memory_bytes {2e8 + index * 1e5:.0f}",
        "process_open_fds 64",
        "process_max_fds 1024",
    ]
    lines += [f'http_server_active_requests{{http_request_method="GET",http_route="{route}"}} 2' for route in ROUTES]
    assert len(lines) <= SERIES_PER_SERVICE, len(lines)
    lines.append("app_endurance_info 1")
    return "\n".join(lines[:SERIES_PER_SERVICE]) + "\n"


class _Services(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    began = time.monotonic()

    def do_GET(self) -> None:
        index = int(self.path.rpartition("/")[2] or 0)
        body = render_service(index, time.monotonic() - self.began).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Say nothing of a Prometheus that closed its connection."""


def serve_services(port: int) -> http.server.ThreadingHTTPServer:
    """Serve the pages of all services at `/metrics/NUMBER` of one loopback port."""
    server = _Server(("127.0.0.1", port), _Services)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write_targets(directory: Path, port: int) -> None:
    """Write one target file per service, as a person would."""
    directory.mkdir(parents=True, exist_ok=True)
    for index in range(SERVICES):
        name = f"endurance-{index:03d}"
        labels = {"service": name, "instance": f"{name}:80", "__metrics_path__": f"/metrics/{index}"}
        group = [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]
        (directory / f"{name}.yml").write_text(json.dumps(group), encoding="utf-8")


def fetch(url: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
    """Return the body of an answer; a request with data is a POST."""
    request = urllib.request.Request(url, data, {"Content-Type": kind} if data is not None else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body: bytes = answer.read()
        return body


def send_messages(inbox_url: str, number: int) -> None:
    """Send the inbox one Slack message, one PagerDuty event and one heartbeat."""
    status = "firing" if number % 2 == 0 else "resolved"
    slack = {
        "channel": "#alerts",
        "username": "Perfloop",
        "attachments": [{"title": f"[{status.upper()}] Endurance", "text": f"number {number}", "color": "danger"}],
    }
    event: dict[str, Any] = {
        "routing_key": "0" * 32,
        "event_action": "trigger" if status == "firing" else "resolve",
        "dedup_key": f"endurance-{number // 2}",
        "payload": {"summary": f"Endurance {number}", "source": "endurance", "severity": "critical"},
    }
    fetch(f"{inbox_url}/slack/services/T00000000/B00000000/perfloop", json.dumps(slack).encode())
    fetch(f"{inbox_url}/v2/enqueue", json.dumps(event).encode())
    fetch(f"{inbox_url}/heartbeat", json.dumps({"status": "firing", "alerts": []}).encode())


def list_queries() -> list[tuple[str, dict[str, Any]]]:
    """Return every query of every board with the values of its variables, as Grafana sends it on opening the board."""
    found = []
    for file in sorted((CHECKOUT / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(file.read_text(encoding="utf-8"))
        values = {
            v["name"]: v.get("allValue") or v.get("current", {}).get("value", "") for v in board["templating"]["list"]
        }
        values |= {"__rate_interval": "1m", "__range": f"{BOARD_SECONDS}s", "__interval": "15s"}
        for panel in (one for row in board["panels"] for one in (row, *row.get("panels", ()))):
            for target in panel.get("targets") or []:
                query = {"query": fill(target["expr"], values), "instant": bool(target.get("instant"))}
                found.append((board["uid"], query))
    return found


def fill(expression: str, values: dict[str, Any]) -> str:
    """Return an expression with its variables filled in."""
    return re.sub(r"\$(\w+)", lambda name: str(values.get(name[1], name[0])), expression)


def ask(prometheus_url: str, query: dict[str, Any]) -> None:
    """Send one query of a panel: an hour of it in steps of 15 seconds, or its value now."""
    now = time.time()
    parameters: dict[str, Any] = {"query": query["query"], "time": now}
    path = "query"
    if not query["instant"]:
        path = "query_range"
        parameters = {"query": query["query"], "start": now - BOARD_SECONDS, "end": now, "step": 15}
    body = urllib.parse.urlencode(parameters).encode()
    fetch(f"{prometheus_url}/api/v1/{path}", body, "application/x-www-form-urlencoded")
