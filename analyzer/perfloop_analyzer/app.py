"""The composition root: the only module that knows every other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from perfloop_analyzer.config import (
    IN_MEMORY,
    AnalysisConfig,
    ReplayConfig,
    ReportConfig,
    RunConfig,
    WebConfig,
    read_secret,
)
from perfloop_analyzer.configuration import ConfigurationFiles, load_knowledge
from perfloop_analyzer.detectors.spread import Threads
from perfloop_analyzer.elector import Elector, introduce
from perfloop_analyzer.errors import AnalyzerError, ConfigError, SourceError
from perfloop_analyzer.kubernetes_watch import KubernetesWatch
from perfloop_analyzer.language_model import LanguageModel
from perfloop_analyzer.lease import Fence, lease_seconds
from perfloop_analyzer.links import by_program
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.planning_watch import PlanningWatch
from perfloop_analyzer.ports import NoRewriting
from perfloop_analyzer.prometheus_api import Pieces, PrometheusSource, TailCache
from perfloop_analyzer.recommend import with_money
from perfloop_analyzer.replay import Journal, Scratch, check_past, make_plan, read_holds, replay
from perfloop_analyzer.report_config import ReportsConfig
from perfloop_analyzer.reporters.formatting import clock
from perfloop_analyzer.reporters.html import Commands, Record, render_report
from perfloop_analyzer.reporting import Service, open_reporting
from perfloop_analyzer.server import REPORT_SECONDS, WebSettings, build_web
from perfloop_analyzer.store import Database
from perfloop_analyzer.store.keeper import Keeper
from perfloop_analyzer.trace_watch import TraceWatch
from perfloop_analyzer.waste_watch import WasteWatch
from perfloop_base.addresses import Address, bound_address, listen
from perfloop_base.redaction import redact
from perfloop_base.serving import Server
from perfloop_base.thresholds import read_thresholds
from perfloop_base.web.settings import Web

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from perfloop_analyzer.dask_spread import DaskSpread
    from perfloop_analyzer.ports import Result, Rewriter
    from perfloop_analyzer.spread_config import SpreadConfig

log = logging.getLogger("analyzer")


@contextlib.asynccontextmanager
async def open_loop(
    config: RunConfig,
    keeper: Keeper | None = None,
    clock: Callable[[], float] = time.time,
    fence: Fence | None = None,
) -> AsyncIterator[tuple[Loop, Database]]:
    """Open Prometheus and the database, and yield a loop over them.

    With a keeper a database that cannot be used ends nothing: it is tried again, and a damaged one is moved aside. With
    a fence the loop writes only while its post has the lease.

    Raises:
        ConfigError: With every problem of every configuration file.
        StoreError: The database cannot be opened.
    """
    files = ConfigurationFiles(config)
    source_config = config.source.located()
    database = await asyncio.to_thread(Database, config.database_url(), keeper)
    opened = contextlib.AsyncExitStack()
    opened.callback(database.close)
    async with opened:
        spread = opened.enter_context(contextlib.closing(await asyncio.to_thread(_open_spread, config.spread)))
        async with PrometheusSource(source_config, wall=clock) as prometheus, _open_rewriter(config) as rewriter:
            source = KubernetesWatch(TailCache(Pieces(prometheus), config.source.max_kept))
            loop = Loop(config, source, database.fenced(fence or Fence()), files.knowledge, rewriter)
            loop.ahead.cluster = source
            loop.published.keeper = keeper or loop.published.keeper
            loop.published.pace = prometheus.pace
            loop.spread_over(spread)
            loop.follow(files, clock())
            loop.ahead.planning = PlanningWatch()
            loop.ahead.waste, loop.ahead.traces = WasteWatch(), TraceWatch(prometheus)
            yield loop, database


def _open_spread(config: SpreadConfig) -> Threads | DaskSpread:
    """Return who looks through many series.

    Raises:
        ConfigError: The flags do not fit together, or there is no such cluster.
    """
    if problems := config.problems():
        raise ConfigError(problems)
    threads = Threads(config.thread_count())
    if not config.dask:
        return threads
    from perfloop_analyzer.dask_spread import DaskSpread

    return DaskSpread(config, threads)


@contextlib.asynccontextmanager
async def _open_rewriter(config: RunConfig) -> AsyncIterator[Rewriter]:
    """Yield the language model where one is configured."""
    if not config.llm_url:
        yield NoRewriting()
        return
    token = read_secret(config.llm_token_file) if config.llm_token_file else None
    model = LanguageModel(config.llm_url, config.llm_model, token)
    try:
        yield model
    finally:
        await model.close()


async def run_once(config: RunConfig) -> Result:
    """Run one analysis.

    Raises:
        AnalyzerError: The cycle failed, for example because Prometheus did not answer.
    """
    async with open_loop(config) as (loop, _):
        return await _one_cycle(loop, time.time())


async def _one_cycle(loop: Loop, at: float) -> Result:
    result = await loop.cycle(at)
    if result is None:
        raise loop.failure or AnalyzerError("the cycle gave no result")
    return result


async def write_report(config: RunConfig, report: ReportConfig | None = None) -> tuple[str, bool]:
    """Run one analysis and return the report as HTML, and whether anything was seen.

    Raises:
        AnalyzerError: The cycle failed.
    """
    async with open_loop(config) as (loop, database):
        at = time.time()
        try:
            result = await _one_cycle(loop, at)
        except SourceError as error:
            looked = await asyncio.to_thread(lambda: database.memory().looked)
            raise type(error)(f"{error}; {_since(looked)}") from error
        past = database.findings(at - REPORT_SECONDS)
        stored = with_money(database.recommendations(), loop.published.prices_of_recommendations)
        links = by_program(report.links if report else ())
        record = Record(past, stored, loop.published.firing, loop.published.catalog, links)
        return render_report(result, loop.published.batches, record, _store_commands(config)), bool(result.health)


async def replay_past(config: AnalysisConfig, past: ReplayConfig, watch: Callable[[Journal], None]) -> Journal:
    """Analyze a past and return what was found; `watch` is called after every analysis. No database is touched.

    Raises:
        ConfigError: It is no past, or a configuration file is wrong.
        AnalyzerError: Nothing was analyzed, for example because Prometheus has no data of it.
    """
    check_past(past, time.time())
    knowledge = load_knowledge(config)
    thresholds = read_thresholds(config.thresholds_file) if config.thresholds_file else None
    async with PrometheusSource(config.source.located()) as source:
        plan = await make_plan(config, past, source, knowledge)
        journal = Journal(plan.start, plan.end, plan.stride, read_holds(knowledge.catalog, thresholds))
        workloads = KubernetesWatch(plan.read(source))
        loop = Loop(plan.config, workloads, Scratch(), knowledge)
        loop.ahead.cluster = workloads
        await replay(loop, plan.moments(), journal, watch)
    return journal


def _since(looked: float | None) -> str:
    return "no result yet" if looked is None else f"no result since {clock(looked)}"


async def serve(
    config: RunConfig,
    web: WebConfig,
    reports: ReportsConfig | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Run the service until SIGTERM or SIGINT.

    Raises:
        ConfigError: A setting or a configuration file is wrong.
        ListenError: The listen address is taken.
        StoreError: The database cannot be opened.
    """
    token = read_secret(web.token_file) if web.token_file else None
    with contextlib.closing(listen(web.address(), "--web.listen-address")) as listener:
        address = bound_address(listener)
        pages = by_program(web.links).get("analyzer") or f"http://{_local(address)}"
        opened, fence, stop = contextlib.AsyncExitStack(), Fence(), asyncio.Event()
        async with open_loop(config, Keeper(clock), clock, fence) as (loop, database), opened:
            if config.is_shared():
                elector = await opened.enter_async_context(_stand(database, pages, config, stop))
                loop.take_turns(elector, fence)
            service = Service(database, loop.published, pages, clock)
            reporting = await opened.enter_async_context(
                open_reporting(config.source, reports or ReportsConfig(), service)
            )
            settings = WebSettings(
                token,
                _commands(config, web, address),
                str(config.thresholds_file or ""),
                by_program(web.links),
                str(web.token_file.absolute()) if web.token_file else "",
            )
            application = build_web(loop.published, database, settings, clock, reporting.shelf)
            server = Server(
                application, Web(web.config_file, web.allowed_hosts, "analyzer", token or "", authenticates=True)
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            log.info("listening on %s://%s", server.scheme, address)
            working = asyncio.gather(loop.run(stop, clock), reporting.scheduler.run(stop, clock))
            await _until_stopped(working, server, listener, stop)
    log.info("stopped")


@contextlib.asynccontextmanager
async def _stand(database: Database, place: str, config: RunConfig, stop: asyncio.Event) -> AsyncIterator[Elector]:
    """Stand for the lease of the database, and give it back at the end."""
    length = lease_seconds(config.interval_seconds)
    elector = Elector(database.lease, introduce(place), length, is_file=database.is_file)
    await elector.turn()
    standing = asyncio.create_task(elector.run(stop))
    try:
        yield elector
    finally:
        standing.cancel()
        await elector.leave()


def _commands(config: RunConfig, web: WebConfig, address: Address) -> Commands:
    """Return the commands for a page on this machine: complete, whatever the reader's current directory is."""
    if web.token_file is None:
        return _store_commands(config)
    flags = (f"--web.url=http://{_local(address)}", f"--web.token-file={web.token_file.absolute()}")
    return Commands(web.command, flags)


def _local(address: Address) -> Address:
    """Return an address at which this machine reaches what listens on another one."""
    return Address("127.0.0.1" if address.host in {"", "0.0.0.0", "::"} else address.host, address.port)  # noqa: S104 - read, not bound


def _store_commands(config: RunConfig) -> Commands:
    """Return the commands that change the database directly; none for a database in memory."""
    if config.store_url_file:
        return Commands(flags=(f"--store.url-file={config.store_url_file.absolute()}",))
    if config.store_url == IN_MEMORY:
        return Commands(enabled=False)
    url = make_url(config.store_url)
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("/"):
        url = url.set(database=str(Path(url.database).absolute()))
    return Commands(flags=(f"--store.url={redact(url.render_as_string(hide_password=True))}",))


async def _until_stopped(
    cycling: asyncio.Future[Any], server: Server, listener: socket.socket, stop: asyncio.Event
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, cycling, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    server.should_exit = True
    cycling.cancel()
    stopping.cancel()
    outcomes = await asyncio.gather(serving, cycling, stopping, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
