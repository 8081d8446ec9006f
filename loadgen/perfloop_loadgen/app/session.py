"""A run from the command line: signals, the metrics page, lines of progress, the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import resource
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector

from perfloop_loadgen.app.breakpoint import BreakpointTester, build_tester
from perfloop_loadgen.app.display import shown
from perfloop_loadgen.app.home import home
from perfloop_loadgen.errors import ConfigError, ExitCode, ListenError
from perfloop_loadgen.reporters.exposition import LoadgenCollector
from perfloop_loadgen.reporters.files import write_reports
from perfloop_loadgen.reporters.text import summary_lines, trial_line
from perfloop_loadgen.reporters.web import MetricsServer
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perfloop_loadgen.app.tester import LoadTester
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary import Summary
    from perfloop_loadgen.summary.document import Document

ADHOC_PORTS = range(19121, 19130)
# SIGTERM must end the process within 5 s: answers get this long, and the last scrape the rest.
GRACE_SECONDS = 2.5
LAST_SCRAPE_SECONDS = 1.5
LINGER_SECONDS = 15.0
CODES = {Verdict.PASSED: ExitCode.OK, Verdict.FAILED: ExitCode.FAILED, Verdict.INVALID: ExitCode.INVALID}


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the metrics page is served; without a port, the first free one of the ad-hoc range."""

    host: str = "127.0.0.1"
    port: int | None = None


class Session:
    """Runs tests one after the other beside the metrics page."""

    def __init__(self, configs: Sequence[LoadTestConfig], listen: Listen, reports: Mapping[str, Path]) -> None:
        self._configs = configs
        self._listen = listen
        self._reports = reports
        self._collector = LoadgenCollector()
        self._current: LoadTester | BreakpointTester | None = None
        self._stopped = ""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        ProcessCollector(registry=registry)
        self._server = MetricsServer(registry, self._describe, lambda: bool(self._collector.runs))

    async def go(self) -> ExitCode:
        """Run every test and return what the process should say."""
        testers = _build_all(self._configs)
        _allow_all_descriptors()
        # What is loaded by now stays: the collector need not walk it between two requests, which takes tens of ms.
        gc.freeze()
        await self._start_server()
        advert = _advertise(self._server.address) if self._listen.port is None else None
        _say(f"serving live metrics on http://{self._server.address}/metrics")
        self._catch_signals()
        try:
            codes = [await self._run(tester) for tester in testers if not self._stopped]
            await self._linger()
        finally:
            if advert is not None:
                advert.unlink(missing_ok=True)
            await self._server.stop()
        return max(codes, default=ExitCode.OK)

    async def _run(self, tester: LoadTester | BreakpointTester) -> ExitCode:
        self._current = tester
        live = tester.live()
        self._collector.runs = [*self._collector.runs, live]
        with shown(tester) as display:
            summary = await tester.run_load_test()
        live.verdict = summary.verdict
        for trouble in await display.finish():
            _say(trouble)
        document = tester.document(summary)
        for line in (*summary_lines(summary), *(f"  {trial_line(trial)}" for trial in document.trials)):
            print(line)  # noqa: T201 - the result is the program's output
        sys.stdout.flush()
        written = self._write_reports(document)
        return max(self._code_of(tester, summary), written)

    def _write_reports(self, document: Document) -> ExitCode:
        places = self._reports
        if len(self._configs) > 1:
            name = re.sub(r"[^\w.-]+", "-", document.summary.name)
            places = {kind: path.with_stem(f"{path.stem}-{name}") for kind, path in places.items()}
        troubles = write_reports(document, places)
        for trouble in troubles:
            _say(str(trouble))
        return ExitCode.NOT_WRITTEN if troubles else ExitCode.OK

    def _code_of(self, tester: LoadTester | BreakpointTester, summary: Summary) -> ExitCode:
        if self._stopped:
            # To be stopped is the only end that a run without a duration has.
            return ExitCode.OK if tester.is_endless else ExitCode.STOPPED
        return CODES[summary.verdict]

    async def _start_server(self) -> None:
        ports = ADHOC_PORTS if self._listen.port is None else [self._listen.port]
        for port in ports:
            try:
                await self._server.start(self._listen.host, port)
            except ListenError:
                if port == ports[-1]:
                    raise
            else:
                return

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        grace = 0.0 if self._stopped else GRACE_SECONDS
        self._stopped = f"stopped by {signal.Signals(number).name}"
        if self._current is not None:
            self._current.stop(self._stopped, grace)

    async def _linger(self) -> None:
        """Stay until a scrape has seen the end, if anybody scrapes."""
        seen = self._server.scrapes
        left = LAST_SCRAPE_SECONDS if self._stopped else LINGER_SECONDS
        while seen and self._server.scrapes == seen and left > 0:
            await asyncio.sleep(0.05)
            left -= 0.05
            if self._stopped:
                left = min(left, LAST_SCRAPE_SECONDS)

    def _describe(self) -> str:
        if self._current is None:
            return "No run yet."
        return "\n".join(summary_lines(self._current.summary()))


def _build_all(configs: Sequence[LoadTestConfig]) -> list[LoadTester | BreakpointTester]:
    """Return what runs each test; what is wrong with any of them is told before the first one runs."""
    testers: list[LoadTester | BreakpointTester] = []
    problems: list[str] = []
    for config in configs:
        try:
            testers.append(build_tester(config))
        except ConfigError as error:
            problems += (f"{config.name}: {problem}" for problem in error.problems)
    if problems:
        raise ConfigError(problems)
    return testers


def _advertise(address: str) -> Path | None:
    """Tell Prometheus of an ad-hoc run through file service discovery, where the stack keeps such files."""
    folder = home() / "targets"
    if not folder.is_dir():
        return None
    path = folder / f"loadgen-{address.rpartition(':')[2]}.json"
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps([{"targets": [address], "labels": {"service": "loadgen"}}]), encoding="utf-8")
        partial.rename(path)
    except OSError as error:
        _say(f"{folder}: Prometheus is not told of this run: {error.strerror}")
        return None
    return path


def _allow_all_descriptors() -> None:
    """Take as many file descriptors as the system lets this process have: each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS tells a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress goes to stderr, one line per event
