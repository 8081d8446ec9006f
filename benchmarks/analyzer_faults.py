"""The demo's seven faults under load: right component first, right recommendation, and how soon.

Usage: python benchmarks/analyzer_faults.py [--rounds 5 --minutes 60] [--only slow_queries ...] Starts its own demo
service, exporter, load, Prometheus and analyzer on free ports, injects each fault `--rounds` times while `--minutes`
last, and reads what the analyzer says. Found = the right component leads an incident of warning or worse.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SCRAPE, CYCLE = 5.0, 10.0
ALLOWED = 3 * SCRAPE + CYCLE
WARM_UP, PATIENCE, HEALED = 100.0, 45.0, 2
# The bars, for five rounds.
MIN_FOUND, MIN_ADVISED = 0.95, 0.90


@dataclass(frozen=True, slots=True)
class Fault:
    """What is injected, and what a person who knows would answer."""

    setting: dict[str, Any]
    component: str
    rules: tuple[str, ...]
    shows: tuple[str, ...] = ("demo",)


FAULTS = {
    "slow_queries": Fault({"slow_queries": 0.5}, "database", ("slow_queries",)),
    "cache_off": Fault({"cache_off": True}, "cache", ("low_hit_ratio",)),
    "cpu_burn": Fault({"cpu_burn": 2}, "cpu", ("cpu_saturated", "cpu_hungry_process"), ("demo", "host")),
    "errors": Fault({"errors": 0.3}, "api", ("failing_requests",)),
    "memory_leak": Fault({"memory_leak": 20}, "memory", ("memory_leak", "memory_full")),
    "pool_exhausted": Fault({"pool_exhausted": 10}, "database", ("pool_too_small",)),
    "slow_first_token": Fault({"slow_first_token": 3}, "model", ("slow_first_token",)),
}


@dataclass(slots=True)
class Stack:
    """The processes of one run and where they answer."""

    home: Path
    ports: dict[str, int]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def url(self, name: str) -> str:
        """Return a part's address."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str, *command: str) -> None:
        """Start a part; its output goes to a file of its name."""
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ | {"DATABASE_URL": ""})
        self.processes.append(process)

    def stop(self) -> None:
        """End every process that this run started."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """Return one free port each."""
    probes = {name: socket.socket() for name in names}
    for probe in probes.values():
        probe.bind(("127.0.0.1", 0))
    ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def start(home: Path, *flags: str) -> Stack:
    """Start everything, the analyzer with more flags, and wait until it answers; a start that fails leaves nothing."""
    stack = Stack(home, free_ports(("demo", "exporter", "prometheus", "analyzer", "loadgen")))
    try:
        _start_all(stack, flags)
    except BaseException:
        stack.stop()
        raise
    return stack


def _start_all(stack: Stack, flags: Sequence[str]) -> None:
    home = stack.home
    listen = {name: f"--web.listen-address=127.0.0.1:{port}" for name, port in stack.ports.items()}
    python = sys.executable
    limits = str(ROOT / "prometheus" / "thresholds.yml")
    config = home / "prometheus.yml"
    config.write_text(_scrapes(stack))
    prometheus = shutil.which("prometheus") or str(ROOT / ".perfloop" / "bin" / "prometheus")
    stack.start("demo", python, "-m", "perfloop_demo.service", listen["demo"], f"--data.dir={home / 'demo'}")
    stack.start("exporter", python, "-m", "perfloop_exporter", listen["exporter"])
    tsdb = f"--storage.tsdb.path={home / 'tsdb'}"
    stack.start("prometheus", prometheus, f"--config.file={config}", tsdb, listen["prometheus"])
    _wait(stack.url("demo") + "/health")
    _wait(stack.url("prometheus") + "/-/ready")
    steady = (python, "-m", "perfloop_loadgen", "run", "demo/steady.yml", "--url", stack.url("demo"), listen["loadgen"])
    stack.start("loadgen", *steady)
    source, store = f"--prometheus.url={stack.url('prometheus')}", f"--store.url=sqlite:///{home / 'analyzer.db'}"
    watch = (listen["analyzer"], source, store, f"--thresholds.file={limits}", f"--interval={CYCLE:g}s")
    stack.start("analyzer", python, "-m", "perfloop_analyzer", "run", *watch, *flags)
    _wait(stack.url("analyzer") + "/-/ready")


def _scrapes(stack: Stack) -> str:
    jobs = {"demo": "demo", "exporter": "host", "loadgen": "loadgen"}
    lines = [f"global: {{scrape_interval: {SCRAPE:g}s}}", "scrape_configs:"]
    for part, service in jobs.items():
        target = f"{{targets: ['127.0.0.1:{stack.ports[part]}'], labels: {{service: {service}}}}}"
        lines.append(f"- {{job_name: {part}, static_configs: [{target}]}}")
    return "\n".join(lines) + "\n"


def _wait(url: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise SystemExit(f"{url} does not answer")


def read(url: str) -> Any:
    """Return a JSON answer."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def set_fault(stack: Stack, setting: dict[str, Any] | None) -> None:
    """Inject a fault, or heal all."""
    method = "DELETE" if setting is None else "PUT"
    body = None if setting is None else json.dumps(setting).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(stack.url("demo") + "/faults", body, headers, method=method)
    urllib.request.urlopen(request, timeout=20).close()


def fresh(incidents: list[dict[str, Any]], since: float, shows: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the incidents in which the demo newly suffers, or for a fault of the machine the host.

    A machine that other programs keep busy has troubles of its own; an incident counts from the moment that it holds a
    finding of warning or worse about where the fault shows, and that began after the injection.
    """
    return [one for one in incidents if any(_new(finding, since, shows) for finding in one["findings"])]


def _new(finding: dict[str, Any], since: float, shows: tuple[str, ...]) -> bool:
    return suffers(finding, shows) and finding["onset"] >= since - SCRAPE


def suffers(finding: dict[str, Any], shows: tuple[str, ...] = ("demo",)) -> bool:
    """Whether a finding of warning or worse is about one of these services."""
    return finding["service"] in shows and finding["severity"] != "info"


def inject(stack: Stack, fault: Fault) -> dict[str, Any]:
    """Inject once; return whether and when it was found, and what was recommended."""
    injected = time.time()
    set_fault(stack, fault.setting)
    outcome: dict[str, Any] = {"found": False, "recommended": False, "seconds": None, "said": []}
    try:
        while time.time() - injected < PATIENCE:
            time.sleep(1)
            answer = read(stack.url("analyzer") + "/api/v1/incidents")
            if answer["at"] <= injected:
                continue
            incidents = fresh(answer["incidents"], injected, fault.shows)
            if incidents:
                outcome["seconds"] = round(time.time() - injected, 1)
                outcome["said"] = [one["causes"][0]["component"] for one in incidents]
                outcome["found"] = outcome["said"][0] == fault.component
                outcome["recommended"] = _recommended(stack, fault, incidents[0]["id"])
                outcome["saw"] = [_words(one) for one in incidents[0]["findings"]]
                break
    finally:
        set_fault(stack, None)
    return outcome


def _words(finding: dict[str, Any]) -> str:
    since = finding["onset"] - time.time()
    return f"{finding['service']} {finding['signal']} {finding['value']:.3g} {finding['detector']} {since:.0f}s"


def _recommended(stack: Stack, fault: Fault, incident: str) -> bool:
    """Whether the incident's most urgent recommendation is one that a person would give."""
    standing = read(stack.url("analyzer") + "/api/v1/recommendations?standing=true")
    own = [one for one in standing if one["values"]["incident"] == incident]
    return bool(own) and own[0]["rule"] in fault.rules


def settle(stack: Stack, seconds: float = 120.0) -> None:
    """Wait until nothing is wrong any more, or patience ends."""
    calm, end = 0, time.monotonic() + seconds
    last = 0.0
    while calm < HEALED and time.monotonic() < end:
        time.sleep(2)
        answer = read(stack.url("analyzer") + "/api/v1/incidents")
        if answer["at"] == last:
            continue
        last = answer["at"]
        calm = 0 if any(suffers(f) for one in answer["incidents"] for f in one["findings"]) else calm + 1


def main() -> int:
    """Print one line per injection, then the shares; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1, help="the bars are for 5")
    parser.add_argument("--minutes", type=float, default=4.5, help="stop injecting after so long")
    parser.add_argument("--only", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home = Path(tempfile.mkdtemp(prefix="perfloop-faults-"))
    stack = start(home)
    outcomes: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.only}
    end = time.monotonic() + 60 * arguments.minutes
    plan = [(number + 1, name) for number in range(arguments.rounds) for name in arguments.only]
    try:
        time.sleep(WARM_UP)
        for number, name in plan:
            settle(stack)
            if time.monotonic() > end:
                break
            outcome = inject(stack, FAULTS[name])
            outcomes[name].append(outcome)
            load = os.getloadavg()[0]
            print(f"round {number}  {name:17s} {outcome} load {load:.1f}", flush=True)
    finally:
        stack.stop()
    shutil.rmtree(home, ignore_errors=True)
    return report(outcomes)


def report(outcomes: dict[str, list[dict[str, Any]]]) -> int:
    """Print the shares next to their bars; return 1 if one is missed."""
    every = [one for rows in outcomes.values() for one in rows]
    count = len(every)
    if not count:
        raise SystemExit("nothing was injected: give it more --minutes")
    found = sum(one["found"] for one in every)
    advised = sum(one["recommended"] for one in every)
    soon = sum(one["seconds"] is not None and one["seconds"] <= ALLOWED for one in every)
    print(f"right component first {found}/{count} (bar 95 %), right recommendation {advised}/{count} (bar 90 %), ")
    print(f"found within {ALLOWED:g} s {soon}/{count}")
    print(json.dumps({"component": found / count, "recommendation": advised / count, "in_time": soon / count}))
    met = found >= MIN_FOUND * count and advised >= MIN_ADVISED * count
    print("bars met" if met else "bars missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
