"""A run from the command line: signals, the metrics page, lines of progress, reports, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector

from perfloop_base.addresses import Address
from perfloop_base.errors import ExitCode, ListenError
from perfloop_base.home import local_port
from perfloop_base.web.settings import DEFAULTS, Web
from perfloop_loadgen.app.announcing import announce, withdraw
from perfloop_loadgen.app.display import shown
from perfloop_loadgen.app.memory import Keeping, Memory
from perfloop_loadgen.app.repeat import RepeatTester
from perfloop_loadgen.app.suite import build_testers
from perfloop_loadgen.app.workplace import HERE, Workplace
from perfloop_loadgen.config.secrets import shown as shown_text
from perfloop_loadgen.reporters.exposition import LoadgenCollector
from perfloop_loadgen.reporters.files import file_name_parts, write_reports
from perfloop_loadgen.reporters.history_figures import HistoryCollector
from perfloop_loadgen.reporters.run_reports import RunReports
from perfloop_loadgen.reporters.server_report import server_lines
from perfloop_loadgen.reporters.text import repeat_lines, summary_lines, trial_line
from perfloop_loadgen.reporters.web import MetricsServer
from perfloop_loadgen.reporters.worker_report import worker_lines
from perfloop_loadgen.server_series import name_of
from perfloop_loadgen.summary.document import State
from perfloop_loadgen.summary.repeats import Repeats
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from perfloop_loadgen.app.repeat import Repetition
    from perfloop_loadgen.app.suite import Tester
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary import Summary
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

# SIGTERM must end the process within 5 s: answers get this long, and the last scrape the rest.
GRACE_SECONDS = 2.5
LAST_SCRAPE_SECONDS = 1.5
LINGER_SECONDS = 15.0
# The stack's steady load has the port itself; other runs take the first free one of those after it.
_AD_HOC_PORTS = 9
_CODES = {Verdict.PASSED: ExitCode.OK, Verdict.FAILED: ExitCode.FAILED, Verdict.INVALID: ExitCode.INVALID}


class Session:
    """Runs tests one after the other while it serves the metrics page.

    Args:
        configs: the tests.
        listen: where live metrics are served; None: the first free port after that of the stack's steady load.
        reports: the file of each kind of report.
        web: how the page is protected.
        repetition: how often each test is run; None: once.
        workplace: where the load is sent from, and how much of it.

    Raises:
        ConfigError: the web configuration file is invalid.
    """

    def __init__(  # noqa: PLR0913 - what the command line says, each part of it once
        self,
        configs: Sequence[LoadTestConfig],
        listen: Address | None,
        reports: Mapping[str, Path],
        web: Web = DEFAULTS,
        repetition: Repetition | None = None,
        *,
        workplace: Workplace = HERE,
    ) -> None:
        self._configs = configs
        self._workplace = workplace
        self._repetition = repetition
        self._listen = listen
        self._reports = reports
        self._memory = Memory(Keeping())
        self._collector = LoadgenCollector()
        self._current: Tester | None = None
        self._stopped = ""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        if listen is not None:  # the stack's own: what was stored is published once
            registry.register(HistoryCollector())
        ProcessCollector(registry=registry)
        self._kept = RunReports()
        self._server = MetricsServer(registry, self._describe, lambda: bool(self._collector.runs), web, self._kept)

    async def go(self, memory: Memory | None = None) -> ExitCode:
        """Run every test and return the exit code of the worst.

        Args:
            memory: what keeps the runs; None: nothing does.

        Raises:
            ConfigError: with what is wrong with any of the tests; nothing has run.
            ListenError: the metrics address is taken; nothing has run.
        """
        testers = build_testers(self._configs, self._repetition, self._workplace)
        _allow_all_descriptors()
        # What is loaded by now stays: the collector need not walk it between two requests, which takes tens of ms.
        gc.freeze()
        # Before anything is there that a signal would leave behind.
        self._catch_signals()
        self._memory = memory or self._memory
        await self._memory.make_ready()
        await self._start_server()
        target_file = announce(self._server.address, self._server.scheme) if self._listen is None else None
        log.info("serving live metrics", extra={"url": f"{self._server.scheme}://{self._server.address}/metrics"})
        parts = file_name_parts([config.name for config in self._configs])
        try:
            codes = [
                await self._run(tester, part) for tester, part in zip(testers, parts, strict=True) if not self._stopped
            ]
            finished = await self._memory.finish()
            await self._linger()
        finally:
            withdraw(target_file)
            await self._server.stop()
        return max(finished, *(codes or [ExitCode.STOPPED if self._stopped else ExitCode.OK]))

    async def _run(self, tester: Tester, part: str) -> ExitCode:
        self._current = tester
        live = tester.live()
        self._collector.runs = [*self._collector.runs, live]
        self._kept.running = live.name
        self._memory.follow(tester, live.name)
        with shown(tester) as display:
            summary = await tester.run_load_test()
        state = State.STOPPED if self._stopped and not tester.is_endless else State.ENDED
        document = self._memory.marked(tester.document(summary), live.name, state)
        live.knee_rate, live.confirmed_rate = document.knee_rate, document.confirmed_rate
        live.capacity, live.service = document.capacity, name_of(document.server.service) if document.server else ""
        self._kept.keep(document)
        live.summary = summary
        for problem in await display.finish():
            log.warning(problem)
        parts = [*map(trial_line, document.trials), *repeat_lines(document.repeats or Repeats())]
        parts += server_lines(document.server) if document.server is not None else ()
        parts += worker_lines(document.workers)
        lines = (*summary_lines(summary), *(f"  {line}" for line in parts))
        written = max(self._print(lines), self._write_reports(document, part))
        stored = await self._memory.keep(self._each(tester, document), hurry=bool(self._stopped))
        return max(self._code_of(tester, summary), written, stored)

    def _each(self, tester: Tester, document: Document) -> list[Document]:
        """Return the document of each run: of a test that was repeated, those of its runs in place of their sum."""
        if not isinstance(tester, RepeatTester):
            return [document]
        last = State.STOPPED if self._stopped else State.ENDED
        states = [*(State.ENDED for _ in tester.documents[1:]), last]
        pairs = zip(tester.documents, states, strict=False)
        return [self._memory.marked(one, "", state) for one, state in pairs]

    def _print(self, lines: Iterable[str]) -> ExitCode:
        """Print the result; where nobody takes it, the reports are written all the same."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no µ
        try:
            for line in lines:
                print(shown_text(line))  # noqa: T201 - the result is the program's output
            sys.stdout.flush()
        except OSError as error:
            log.error("the result could not be written to stdout: %s", error.strerror or error)  # noqa: TRY400 - no trace
            # What is left in the buffer would be an error again at the end of the process.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.NOT_WRITTEN
        return ExitCode.OK

    def _write_reports(self, document: Document, part: str) -> ExitCode:
        files = self._reports
        if len(self._configs) > 1:
            files = {kind: path.with_stem(f"{path.stem}-{part}") for kind, path in files.items()}
        problems = write_reports(document, files)
        for problem in problems:
            log.error(str(problem))
        return ExitCode.NOT_WRITTEN if problems else ExitCode.OK

    def _code_of(self, tester: Tester, summary: Summary) -> ExitCode:
        if self._stopped:
            # To be stopped is the only end that a run without a duration has.
            return ExitCode.OK if tester.is_endless else ExitCode.STOPPED
        if tester.only_queries_failed:
            return ExitCode.SOURCE_UNAVAILABLE
        if isinstance(tester, RepeatTester) and tester.needs_more_runs:
            return ExitCode.UNDECIDED
        return _CODES[summary.verdict]

    async def _start_server(self) -> None:
        if self._listen is not None:
            await self._server.start(self._listen)
            return
        first = local_port("loadgen") + 1
        ports = range(first, first + _AD_HOC_PORTS)
        for port in ports:
            try:
                await self._server.start(Address("127.0.0.1", port))
            except ListenError:
                if port == ports[-1]:
                    raise
            else:
                return

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        # `nohup` has SIGHUP ignored: such a run goes on when its terminal is gone.
        hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        for number in (signal.SIGINT, signal.SIGTERM, *hang_up):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        # The second signal does not wait for answers.
        grace = 0.0 if self._stopped else GRACE_SECONDS
        self._stopped = f"stopped by {signal.Signals(number).name}"
        if self._current is not None:
            self._current.stop(self._stopped, grace)

    async def _linger(self) -> None:
        """Wait until a scrape has seen the end, if there were scrapes at all."""
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
        judged = self._collector.runs[-1].summary
        if judged is not None:
            return "\n".join(summary_lines(judged))
        lines = (line for line in summary_lines(self._current.summary()) if not line.startswith("  verdict:"))
        return "\n".join((*lines, "  running: it is judged at its end"))


def _allow_all_descriptors() -> None:
    """Raise the limit on file descriptors as far as the system allows: each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
