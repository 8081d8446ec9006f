"""24 hours of work in 12 minutes, and what each part has grown by at its end: nothing.

Usage: python benchmarks/endurance.py [--quick] [--minutes 12] [--json FILE]

A whole native stack with the demo and its steady load, 200 more services in `prometheus/targets/` (50,000 series behind
the stack's own analyzer), and beside it a Prometheus that scrapes every second with an analyzer of its own. The work of
24 hours is done evenly over the time of the run:

- 5,760 scrapes of the exporter, of the demo (the instrumentation), of the load generator, the inbox and the analyzer:
  as many as 24 hours have at one every 15 seconds;
- 1,440 cycles of the second analyzer: as many as 24 hours have at one a minute;
- 2,880 Slack messages, PagerDuty events and heartbeats: one of each every 30 seconds (the inbox keeps 1,000 messages,
  and is filled before the measurement begins);
- 24 times a component is killed, for the guardian and supervisord;
- the boards stay open: each of their queries is sent as Grafana would send it, once every five minutes.

Not compressed: scrapes and rules of the stack's Prometheus, the cycles of its analyzer and the demo's requests go on
at their own pace. Memory, descriptors, threads, files and series are sampled all the time; the first 35 % is warm-up.
The bars are in endurance_watch.py. `--quick` does a sixth of it in two minutes. Exits 1 on a missed bar.
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
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml
from endurance_watch import MIB, Part, measure_growth, watch
from endurance_work import (
    CHECKOUT,
    SERVICES,
    Work,
    ask,
    fetch,
    list_queries,
    send_messages,
    serve_services,
    write_targets,
)

from perfloop.stack import records
from perfloop_base.home import DEFAULT_PORTS, port_variable
from perfloop_base.processes import find_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from endurance_watch import Growth

SCRAPES, CYCLES, MESSAGES, KILLS = 5_760, 1_440, 2_880, 24
# One after the other they take a Prometheus of 70,000 series on two cores more than a minute.
BOARD_MINUTES = 5
MAILBOX = 1_000
# An analyzer publishes what it finds: at most 2,000 series of each of its readings, and those of its findings.
ANALYZER_SERIES = 20_000
SAMPLE_SECONDS = 3.0
UP_SECONDS, UP_ATTEMPTS = 300, 3
# What a run may take longer than planned on a machine that is busy with other things.
PATIENCE = 2.0
# Killed in turn; what is measured as one process over the whole run is not among them.
VICTIMS = ("alertmanager",)


def find_ports(count: int) -> list[int]:
    """Return loopback ports that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Rig:
    """The stack, the second Prometheus with its analyzer, and the 200 services."""

    def __init__(self, directory: Path, first_port: int) -> None:
        names = [*DEFAULT_PORTS, "services", "fast_prometheus", "fast_analyzer"]
        given = range(first_port, first_port + len(names)) if first_port else find_ports(len(names))
        self.directory = directory
        self.home = directory / "home"
        self.ports = dict(zip(names, given, strict=True))
        tools = f"{CHECKOUT / '.perfloop' / 'bin'}{os.pathsep}{Path(sys.executable).parent}"
        self.environment = {
            **os.environ,
            **{port_variable(name): str(self.ports[name]) for name in DEFAULT_PORTS},
            "PERFLOOP_HOME": str(self.home),
            "DOCKER_HOST": f"unix://{directory}/no-engine",
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        }

    def url(self, name: str) -> str:
        """Return where a part listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def perfloop(self, *words: str) -> None:
        """Run one command in the configuration of this run."""
        command = [sys.executable, "-m", "perfloop", *words]
        where = self.directory / "configuration"
        done = subprocess.run(
            command,
            cwd=where if where.is_dir() else self.directory,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
        )
        if done.returncode:
            raise SystemExit(f"perfloop {' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}")

    def up(self) -> None:
        """Start the stack; on a machine that is busy with other things it is given another chance."""
        for attempt in range(UP_ATTEMPTS):
            try:
                return self.perfloop("up", "--native")
            except SystemExit:
                if attempt == UP_ATTEMPTS - 1:
                    raise
        return None

    @contextmanager
    def stack(self) -> Iterator[None]:
        """Start the stack, give it the 200 services as a person would, and stop it at the end."""
        self.perfloop("init", str(self.directory / "configuration"))
        server = serve_services(self.ports["services"])
        try:
            self.up()
            write_targets(self.directory / "configuration" / "prometheus" / "targets", self.ports["services"])
            yield
        finally:
            self.perfloop("down")
            server.shutdown()
            server.server_close()

    @contextmanager
    def process(self, name: str, *command: str) -> Iterator[psutil.Process]:
        """Run a process beside the stack."""
        with (self.directory / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            try:
                yield psutil.Process(process.pid)
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()

    def fast_prometheus(self) -> tuple[str, ...]:
        """Write the configuration of the Prometheus that scrapes every second, and return its command."""
        rules = self.directory / "configuration" / "prometheus" / "rules" / "*.yml"
        jobs = {"node": "exporter", "services": "demo"}
        file = self.directory / "fast.yml"
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": [f"127.0.0.1:{self.ports[part]}"], "labels": {"service": part}}],
                }
                for job, part in jobs.items()
            ],
        }
        file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        return (
            shutil.which("prometheus", path=self.environment["PATH"]) or "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={self.directory / 'fast-data'}",
            f"--web.listen-address=127.0.0.1:{self.ports['fast_prometheus']}",
        )

    def fast_analyzer(self, seconds: float, cycles: int) -> tuple[str, ...]:
        """Return the command of the analyzer whose cycles follow each other without much of a pause."""
        return (
            *(sys.executable, "-m", "perfloop_analyzer", "run"),
            f"--prometheus.url={self.url('fast_prometheus')}",
            f"--store.url=sqlite:///{self.directory / 'fast-analyzer' / 'analyzer.db'}",
            f"--web.listen-address=127.0.0.1:{self.ports['fast_analyzer']}",
            f"--interval={max(1, int(seconds / cycles * 1000))}ms",
        )

    def component(self, name: str) -> psutil.Process | None:
        """Return the process of a component, as the guardian has recorded it."""
        return find_process(records.load_pids(self.home).get(name, ""))

    def supervisor(self, name: str) -> psutil.Process | None:
        """Return supervisord, or the guardian, its child."""
        try:
            supervisord = psutil.Process(int((self.home / "run" / "supervisord.pid").read_text()))
            if name == "supervisord":
                return supervisord
            return next((child for child in supervisord.children() if "guardian" in " ".join(child.cmdline())), None)
        except (OSError, ValueError, psutil.Error):
            return None

    def kill(self, number: int) -> None:
        """Kill a component; the guardian writes why it ended and supervisord starts it again."""
        process = self.component(VICTIMS[number % len(VICTIMS)])
        if process is not None:
            process.send_signal(signal.SIGKILL)

    def parts(self, analyzer: psutil.Process, prometheus: psutil.Process) -> list[Part]:
        """Return everything that is watched."""
        own = [
            Part(
                name,
                lambda name=name: self.component(name),
                f"{self.url(name)}/metrics",
                (self.home / name,),
                most_series=ANALYZER_SERIES if name == "analyzer" else None,
            )
            for name in ("exporter", "demo", "loadgen", "analyzer", "inbox")
        ]
        around = [
            Part(name, lambda name=name: self.supervisor(name), "", (self.home / "run", self.home / "logs"))
            for name in ("guardian", "supervisord")
        ]
        fast = Part(
            "analyzer, fast cycles",
            lambda: analyzer,
            f"{self.url('fast_analyzer')}/metrics",
            (self.directory / "fast-analyzer",),
            most_series=ANALYZER_SERIES,
        )
        # Shown beside them, without a bar: their blocks and their write-ahead log grow by design.
        foreign = [
            Part("prometheus", lambda: self.component("prometheus"), judged=False),
            Part("prometheus, fast", lambda: prometheus, judged=False),
            Part("alertmanager", lambda: self.component("alertmanager"), judged=False),
        ]
        return [*own, fast, *around, *foreign]

    def works(self, share: float, minutes: float) -> list[Work]:
        """Return the work of a share of 24 hours, and the boards."""
        queries = list_queries()
        scraped = ("exporter", "demo", "loadgen", "inbox", "analyzer")
        scrapes = [
            Work(
                f"scrapes of {name}",
                int(SCRAPES * share),
                lambda _, name=name: fetch(f"{self.url(name)}/metrics") and None,
            )
            for name in scraped
        ]
        return [
            *scrapes,
            Work(
                "messages of each channel",
                int(MESSAGES * share),
                lambda number: send_messages(self.url("inbox"), number),
            ),
            Work("kills", int(KILLS * share), self.kill),
            Work(
                f"queries of {len({board for board, _ in queries})} boards",
                int(len(queries) * minutes / BOARD_MINUTES),
                lambda number: ask(self.url("prometheus"), queries[number % len(queries)][1]),
            ),
        ]


def count_cycles(url: str) -> int:
    """Return how many cycles an analyzer has made, without those that it left out; 0 while it does not answer."""
    try:
        lines = fetch(f"{url}/metrics").decode().splitlines()
    except OSError:
        lines = []
    made = [line for line in lines if line.startswith("perfloop_analyzer_cycles_total") and '"shed"' not in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in made))


def run(rig: Rig, minutes: float, share: float) -> tuple[list[Part], list[Work], dict[str, float]]:
    """Do the work and watch the parts; return both, and what else was seen."""
    seconds = minutes * 60
    cycles = int(CYCLES * share)
    (rig.directory / "fast-analyzer").mkdir()
    with ExitStack() as stack:
        stack.enter_context(rig.stack())
        Work("filling", MAILBOX // 2 + 1, lambda number: send_messages(rig.url("inbox"), number)).run(
            0, threading.Event()
        )
        prometheus = stack.enter_context(rig.process("fast-prometheus", *rig.fast_prometheus()))
        analyzer = stack.enter_context(rig.process("fast-analyzer", *rig.fast_analyzer(seconds, cycles)))
        parts, works = rig.parts(analyzer, prometheus), rig.works(share, minutes)
        stop, began = threading.Event(), time.monotonic()
        threads = [threading.Thread(target=work.run, args=(seconds, stop), daemon=True) for work in works]
        for thread in threads:
            thread.start()

        def is_over() -> bool:
            spent = time.monotonic() - began
            working = any(thread.is_alive() for thread in threads) or count_cycles(rig.url("fast_analyzer")) < cycles
            return spent > seconds * PATIENCE or (spent >= seconds and not working)

        time.sleep(10)  # the second analyzer starts
        watch(parts, SAMPLE_SECONDS, is_over)
        stop.set()
        facts = {
            "seconds": time.monotonic() - began,
            "cycles": count_cycles(rig.url("fast_analyzer")),
            "cycles wanted": cycles,
            "cycles of the stack's analyzer": count_cycles(rig.url("analyzer")),
            "series of the stack's Prometheus": head_series(rig.url("prometheus")),
            "services": SERVICES,
        }
    return parts, works, facts


def head_series(url: str) -> float:
    """Return how many series a Prometheus holds in memory."""
    name = "prometheus_tsdb_head_series "
    lines = fetch(f"{url}/metrics").decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def judge(growths: list[Growth], works: list[Work], facts: dict[str, float], restarts: dict[str, int]) -> list[str]:
    """Return a sentence for each bar that was missed."""
    missed = [
        f"{one.part}: {one.kind} grew by {show(one.kind, one.growth)}, the bar is {show(one.kind, one.bar or 0)}"
        for one in growths
        if one.exceeds
    ]
    missed += [f"{work.name}: {work.done} of {work.goal} done" for work in works if work.done < work.goal]
    missed += [
        f"{work.name}: {len(work.errors)} of {work.done} failed, the first with {work.errors[0]}"
        for work in works
        if len(work.errors) > work.goal * 0.01
    ]
    missed += [f"{name} was restarted {count} times by itself" for name, count in restarts.items() if count]
    if facts["cycles"] < facts["cycles wanted"]:
        missed.append(f"{facts['cycles']:.0f} of {facts['cycles wanted']:.0f} cycles of the analyzer done")
    return missed


def show(kind: str, value: float) -> str:
    """Return an amount with its unit."""
    return f"{value / MIB:.1f} MiB" if kind == "memory" else f"{value:.1f}"


def main() -> int:
    """Run, print what was done and what grew, and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sixth of the work in two minutes")
    parser.add_argument("--minutes", type=float, default=12.0, help="over how long the work is done")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument(
        "--directory", type=Path, help="an empty directory for configuration, data and logs, to be kept"
    )
    parser.add_argument("--first-port", type=int, default=0, help="the first of 15 ports (default: any free ones)")
    options = parser.parse_args()
    minutes, share = (2.0, 1 / 6) if options.quick else (options.minutes, 1.0)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="perfloop-endurance-") as temporary:
        directory = options.directory or Path(temporary)
        parts, works, facts = run(Rig(directory, options.first_port), minutes, share)
    growths = [growth for part in parts for growth in measure_growth(part)]
    restarts = {part.name: len(part.identities) - 1 for part in parts if part.judged}
    report(growths, works, facts)
    print(f"load of the machine: {load_before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores")
    missed = judge(growths, works, facts, restarts)
    if options.json:
        rows = [asdict(growth) for growth in growths]
        options.json.write_text(json.dumps({"growth": rows, "facts": facts, "missed": missed}, indent=2))
    print("\n".join(["bars missed:", *missed]) if missed else "every bar met")
    return 1 if missed else 0


def report(growths: list[Growth], works: list[Work], facts: dict[str, float]) -> None:
    """Print the work that was done, and the growth of every part."""
    for work in works:
        print(f"{work.name}: {work.done} ({len(work.errors)} failed)")
    for name, value in facts.items():
        print(f"{name}: {value:,.0f}")
    print(f"{'part':24} {'':12} {'first':>12} {'last':>12} {'growth':>12} {'bar':>12}")
    for one in growths:
        bar = "none" if one.bar is None else show(one.kind, one.bar)
        cells = (show(one.kind, one.first), show(one.kind, one.last), show(one.kind, one.growth), bar)
        print(f"{one.part:24} {one.kind:12} " + " ".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
