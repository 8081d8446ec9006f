"""Random SIGKILLs while alerts come and go: is every incident and every all-clear delivered by every channel?

python benchmarks/notification_kills.py [--kills 200] [--seed 7] [--plain]

A native stack runs with short waits and the shipped programs; a small target's metrics make its alerts fire and end.
One of Alertmanager, Prometheus, analyzer, inbox, supervisord and guardian is killed every 1 to 5 seconds. At the end
each incident that Prometheus saw must have a page and an all-clear of its own on each of its channels; late is what
came after the next one of its kind began, and duplicates are counted. `--plain` runs the same seed without the
inbox's watch over notifications and with the default intervals of Prometheus and Alertmanager. Exits 1 when something
was lost (with `--plain`, never).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop.stack.supervision import Supervisor
from tests.support.alerting_chain import CHECKOUT, Service, fetch, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT_NAMES = (
    "EXPORTER", "ANALYZER", "LOADGEN", "INBOX", "INBOX_SMTP", "DEMO", "PROMETHEUS", "ALERTMANAGER", "GRAFANA",
)  # fmt: skip
# How often each is chosen. Supervisord's end is that of everything, and takes the longest to come back from.
VICTIMS = {"alertmanager": 4, "prometheus": 4, "analyzer": 2, "inbox": 4, "supervisord": 1, "guardian": 2}
CHANNELS = {"critical": ("slack", "email", "pagerduty"), "warning": ("slack",)}
ALERTS = {f"Kill{number:02d}": "critical" if number % 3 else "warning" for number in range(24)}
# How long an alert fires and how long it is quiet; the second leaves time for two restarts of everything.
FIRING_SECONDS, QUIET_SECONDS = (8.0, 16.0), (45.0, 75.0)
GAP_SECONDS = (1.0, 5.0)
# After the last kill: what waits is sent one after the other.
SETTLE_SECONDS = 150.0
BACK_SECONDS = 120.0

RULES = """groups:
  - name: kills
    interval: 1s
    rules:
"""
RULE = """      - alert: {name}
        expr: kill_state{{alert="{name}"}} == 1
        for: 1s
        labels: {{severity: {severity}, service: {name}, component: stack, category: stack, owner: platform}}
        annotations: {{summary: "{name} fires", resolved: "{name} has ended", description: "Made by a benchmark."}}
"""
# A sitecustomize.py: `perfloop up`, the guardian's too, starts the stack without the watch over notifications and with
# the programs' own defaults.
PLAIN = """
import sys
if "up" in sys.orig_argv:
    import dataclasses
    import perfloop.stack.native as native
    build = native.build_components
    ours = ("--prometheus.url", "--alertmanager.url", "--data.maintenance-interval", "--rules.alert.")
    def plain(*given, **named):
        return [
            one
            if one.name == "analyzer"
            else dataclasses.replace(one, command=tuple(word for word in one.command if not word.startswith(ours)))
            for one in build(*given, **named)
        ]
    native.build_components = plain
"""


@dataclass
class Interval:
    """One time that an alert was made to fire, in Unix seconds."""

    alert: str
    begin: float
    end: float
    next_begin: float = float("inf")


@dataclass(frozen=True)
class Plan:
    """What is killed, how often, and whether the stack is the plain one."""

    kills: int
    seed: int
    plain: bool
    victims: tuple[str, ...]
    first_port: int


@dataclass
class Tally:
    """What was delivered."""

    kills: Counter[str] = field(default_factory=Counter)
    incidents: int = 0
    due: int = 0
    lost_pages: list[str] = field(default_factory=list)
    lost_ends: list[str] = field(default_factory=list)
    early_ends: list[str] = field(default_factory=list)
    late: int = 0
    duplicates: int = 0


def write_configuration(directory: Path, target: int) -> None:
    """Write a configuration like the shipped one, with short waits, the alerts and their target."""
    for name in ("prometheus", "alertmanager", "grafana", "demo"):
        shutil.copytree(CHECKOUT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", "perfloop_*"))
    shutil.copy(CHECKOUT / "docker-compose.yml", directory)
    shutil.copytree(CHECKOUT / "demo", directory / "demo", dirs_exist_ok=True)
    (directory / "secrets").mkdir()
    rules = RULES + "".join(RULE.format(name=name, severity=severity) for name, severity in ALERTS.items())
    (directory / "prometheus" / "alerts" / "kills.yml").write_text(rules)
    targets = [{"targets": [f"127.0.0.1:{target}"], "labels": {"service": "kills"}}]
    (directory / "prometheus" / "targets" / "kills.json").write_text(json.dumps(targets))
    path = directory / "prometheus" / "prometheus.yml"
    path.write_text(
        path.read_text().replace(
            "- job_name: services\n", "- job_name: services\n    scrape_interval: 1s\n    scrape_timeout: 1s\n"
        )
    )
    path = directory / "alertmanager" / "alertmanager.yml"
    text = path.read_text()
    for long, short in (("group_wait: 10s", "group_wait: 1s"), ("group_wait: 3s", "group_wait: 1s")):
        text = text.replace(long, short)
    path.write_text(text.replace("group_interval: 30s\n  repeat_interval", "group_interval: 2s\n  repeat_interval"))


class Stack:
    """A native stack of its own home and ports."""

    def __init__(self, directory: Path, first_port: int) -> None:
        ports = {name: first_port + number for number, name in enumerate(PORT_NAMES)}
        self.directory, self.home = directory, directory / "home"
        self.environment = {
            **os.environ,
            "PERFLOOP_HOME": str(self.home),
            **{f"PERFLOOP_{name}_PORT": str(port) for name, port in ports.items()},
        }
        self.supervisor = Supervisor(self.home)
        self.inbox = f"http://127.0.0.1:{ports['INBOX']}"
        self.prometheus = f"http://127.0.0.1:{ports['PROMETHEUS']}"

    def up(self, *, plain: bool) -> None:
        """Start it."""
        if plain:
            place = self.directory / "plain"
            place.mkdir()
            (place / "sitecustomize.py").write_text(PLAIN)
            paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
            self.environment["PYTHONPATH"] = os.pathsep.join(paths)
        command = [sys.executable, "-P", "-m", "perfloop", "up", "--native", "--no-demo"]
        subprocess.run(command, cwd=self.directory, env=self.environment, check=True)

    def down(self) -> None:
        """Stop it."""
        command = [sys.executable, "-P", "-m", "perfloop", "down"]
        subprocess.run(command, cwd=self.directory, env=self.environment, check=False)

    def pid(self, name: str) -> int | None:
        """Return the process of a part, or None where it does not run."""
        if name == "supervisord":
            return self.supervisor.pid()
        return int(self.supervisor.processes().get(name, {}).get("pid") or 0) or None

    def is_back(self) -> bool:
        """Return whether supervisord answers and everything runs."""
        states = [info["statename"] for info in self.supervisor.processes().values()]
        return bool(states) and all(state == "RUNNING" for state in states)


class Alerts(threading.Thread):
    """Makes the alerts fire and end, each in its own time."""

    def __init__(self, service: Service, seed: int) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        now = time.time()
        self._next = {name: now + self._random.uniform(0, QUIET_SECONDS[1]) for name in ALERTS}
        self._on: dict[str, Interval] = {}
        self.intervals: list[Interval] = []
        service.gauges = {f'kill_state{{alert="{name}"}}': 0.0 for name in ALERTS}

    def run(self) -> None:
        """Switch alerts until stopped; then end those that fire."""
        while not self._stopping.wait(0.1):
            for name in [name for name, moment in self._next.items() if moment <= time.time()]:
                self._switch(name)
        for name in list(self._on):
            self._switch(name)

    def stop(self) -> None:
        """Let everything end."""
        self._stopping.set()
        self.join()

    def _switch(self, name: str) -> None:
        now = time.time()
        series = f'kill_state{{alert="{name}"}}'
        if name in self._on:
            self._on.pop(name).end = now
            self._service.gauges = {**self._service.gauges, series: 0.0}
            self._next[name] = now + self._random.uniform(*QUIET_SECONDS)
        else:
            for earlier in self.intervals:
                if earlier.alert == name and earlier.next_begin > now:
                    earlier.next_begin = now
            self._on[name] = Interval(name, now, float("inf"))
            self.intervals.append(self._on[name])
            self._service.gauges = {**self._service.gauges, series: 1.0}
            self._next[name] = now + self._random.uniform(*FIRING_SECONDS)


class Messages(threading.Thread):
    """Collects what the inbox has, through its restarts."""

    def __init__(self, inbox: str) -> None:
        super().__init__(daemon=True)
        self._inbox = inbox
        self._stopping = threading.Event()
        self.found: dict[int, dict[str, Any]] = {}

    def run(self) -> None:
        """Read until stopped."""
        while not self._stopping.wait(1.0):
            self.read()

    def read(self) -> None:
        """Read once."""
        with contextlib.suppress(OSError, ValueError):
            for message in fetch(f"{self._inbox}/api/messages"):
                if isinstance(message, dict):
                    self.found[message["id"]] = message

    def stop(self) -> None:
        """Read a last time."""
        self._stopping.set()
        self.join()
        self.read()


def wait_back(stack: Stack) -> None:
    """Wait until everything runs again: with supervisord, everything ends."""
    deadline = time.monotonic() + BACK_SECONDS
    while not stack.is_back() and time.monotonic() < deadline:
        time.sleep(0.5)


def kill(stack: Stack, plan: Plan, tally: Tally) -> None:
    """Kill one part after the other."""
    chance = random.Random(plan.seed + 1)
    for number in range(plan.kills):
        time.sleep(chance.uniform(*GAP_SECONDS))
        victim = chance.choices(plan.victims, [VICTIMS[name] for name in plan.victims])[0]
        deadline = time.monotonic() + BACK_SECONDS
        while (pid := stack.pid(victim)) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if pid is None:
            raise TimeoutError(f"{victim} has not come back within {BACK_SECONDS:g} s")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        tally.kills[victim] += 1
        if victim == "supervisord":
            wait_back(stack)
        print(f"{number + 1:4d} {datetime.now(UTC):%H:%M:%S} {victim}", file=sys.stderr, flush=True)


def read_fired(stack: Stack, begin: float) -> dict[str, list[float]]:
    """Return the moments at which Prometheus recorded each alert as firing."""
    window = int(time.time() - begin) + 60
    query = f"query=ALERTS%7Balertstate%3D%22firing%22%2Calertname%3D~%22Kill.*%22%7D%5B{window}s%5D"
    fired: dict[str, list[float]] = {}
    for series in fetch(f"{stack.prometheus}/api/v1/query?{query}")["data"]["result"]:
        fired.setdefault(series["metric"]["alertname"], []).extend(float(at) for at, _ in series["values"])
    return fired


def judge(
    intervals: list[Interval], fired: dict[str, list[float]], messages: list[dict[str, Any]], tally: Tally
) -> None:
    """Compare what fired with what was delivered."""
    arrived = sorted(
        (datetime.fromisoformat(message["received_at"]).timestamp(), message)
        for message in messages
        if message["alertname"] in ALERTS
    )
    # What no Prometheus evaluated is known to nobody.
    seen = [one for one in intervals if any(one.begin <= at <= one.end + 5 for at in fired.get(one.alert, []))]
    tally.incidents += len(seen)
    for alert, severity in ALERTS.items():
        mine = [one for one in seen if one.alert == alert]
        for channel in CHANNELS[severity]:
            found = [(at, m["status"]) for at, m in arrived if (m["alertname"], m["channel"]) == (alert, channel)]
            judge_channel(mine, found, channel, tally)


def judge_channel(incidents: list[Interval], messages: list[tuple[float, str]], channel: str, tally: Tally) -> None:
    """Find a page and then an all-clear for each incident of one alert, in order; no message counts for two."""
    rest, used = messages, 0
    for one in incidents:
        name = f"{one.alert} {datetime.fromtimestamp(one.begin, UTC):%H:%M:%S} {channel}"
        tally.due += 2
        page = next((n for n, (at, status) in enumerate(rest) if status == "firing" and at >= one.begin), None)
        if page is None:
            tally.lost_pages.append(name)
            tally.lost_ends.append(name)
            continue
        end = next((n for n, (at, word) in enumerate(rest) if n > page and word == "resolved" and at >= one.end), None)
        tally.late += rest[page][0] >= one.next_begin
        tally.early_ends += [name for at, status in rest[page:end] if status == "resolved" and at < one.end]
        used += 1
        if end is None:
            tally.lost_ends.append(name)
            rest = rest[page + 1 :]
            continue
        used += 1
        tally.late += rest[end][0] >= one.next_begin
        rest = rest[end + 1 :]
    tally.duplicates += len(messages) - used


@contextlib.contextmanager
def running(directory: Path, port: int, plan: Plan) -> Iterator[Stack]:
    """Run the stack."""
    write_configuration(directory, port)
    stack = Stack(directory, plan.first_port)
    try:
        stack.up(plain=plan.plain)
        yield stack
    finally:
        stack.down()


def run(plan: Plan, directory: Path) -> Tally:
    """Run once and return what was delivered."""
    tally, service = Tally(), Service()
    with serve(service) as port, running(directory, port, plan) as stack:
        begin = time.time()
        alerts, messages = Alerts(service, plan.seed), Messages(stack.inbox)
        alerts.start()
        messages.start()
        kill(stack, plan, tally)
        alerts.stop()
        wait_back(stack)
        time.sleep(SETTLE_SECONDS)
        messages.stop()
        judge(alerts.intervals, read_fired(stack, begin), list(messages.found.values()), tally)
        (directory / "messages.json").write_text(json.dumps(list(messages.found.values())))
        (directory / "intervals.json").write_text(json.dumps([vars(one) for one in alerts.intervals]))
    return tally


def report(tally: Tally, *, plain: bool) -> None:
    """Print the table."""
    print(f"{'plain Prometheus and Alertmanager' if plain else 'Perfloop'}: {sum(tally.kills.values())} kills")
    print("  " + ", ".join(f"{name} {count}" for name, count in sorted(tally.kills.items())))
    print("| incidents | messages due | pages lost | all-clears lost | all-clears too early | late | duplicates |")
    print("|---|---|---|---|---|---|---|")
    lost = (len(tally.lost_pages), len(tally.lost_ends), len(tally.early_ends))
    print(
        f"| {tally.incidents} | {tally.due} | {lost[0]} | {lost[1]} | {lost[2]} | {tally.late} | {tally.duplicates} |"
    )
    for title, rows in (
        ("page lost", tally.lost_pages),
        ("all-clear lost", tally.lost_ends),
        ("all-clear too early", tally.early_ends),
    ):
        for row in rows:
            print(f"  {title}: {row}")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plain", action="store_true", help="without the watch over notifications")
    parser.add_argument("--keep", type=Path, help="directory for configuration and logs; a temporary one by default")
    parser.add_argument("--victims", default=",".join(VICTIMS), help="what is killed, with commas between")
    parser.add_argument("--first-port", type=int, default=22010, help="the first of nine ports")
    arguments = parser.parse_args()
    victims = tuple(arguments.victims.split(","))
    plan = Plan(arguments.kills, arguments.seed, arguments.plain, victims, arguments.first_port)
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        directory = arguments.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        tally = run(plan, directory)
    report(tally, plain=arguments.plain)
    lost = bool(tally.lost_pages or tally.lost_ends or not tally.incidents)
    return int(lost and not arguments.plain)


if __name__ == "__main__":
    sys.exit(main())
