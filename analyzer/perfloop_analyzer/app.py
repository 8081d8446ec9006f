"""The composition root: the only module that knows every other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from typing import TYPE_CHECKING

import uvicorn

from perfloop_analyzer.catalog import load_catalog, read_thresholds
from perfloop_analyzer.config import RunConfig, read_secret
from perfloop_analyzer.errors import AnalyzerError, ConfigError
from perfloop_analyzer.incidents import read_topology
from perfloop_analyzer.language_model import LanguageModel
from perfloop_analyzer.loop import Loop, OwnWords
from perfloop_analyzer.pipeline import Knowledge
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.reporters.html import Record, render_report
from perfloop_analyzer.server import REPORT_SECONDS, build_web
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from perfloop_analyzer.ports import Result, Wording

log = logging.getLogger("analyzer")


class _Server(uvicorn.Server):
    """Leaves the signals to us, so that SIGTERM ends the process with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def build_knowledge(config: RunConfig) -> Knowledge:
    """Read catalogue, limits, rules and topology; every problem of every file at once."""
    problems: list[str] = []
    try:
        thresholds = read_thresholds(config.thresholds_file)
    except ConfigError as error:
        problems, thresholds = list(error.problems), None
    try:
        catalog = load_catalog(config.catalog_files, thresholds)
    except ConfigError as error:
        problems += error.problems
    try:
        rules = load_rules(config.rule_files)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Knowledge(catalog, rules, read_topology(config.topology_file))


@contextlib.asynccontextmanager
async def open_loop(config: RunConfig) -> AsyncIterator[tuple[Loop, Database]]:
    """Open source and database around a loop."""
    knowledge = build_knowledge(config)
    database = Database(config.store_url)
    try:
        async with PrometheusSource(config.source) as source, _wording(config) as wording:
            yield Loop(config, source, database, knowledge, wording), database
    finally:
        database.close()


@contextlib.asynccontextmanager
async def _wording(config: RunConfig) -> AsyncIterator[Wording]:
    """Put a language model in where one is configured."""
    if config.llm_url is None:
        yield OwnWords()
        return
    token = read_secret(config.llm_token_file) if config.llm_token_file else None
    model = LanguageModel(config.llm_url, config.llm_model, token)
    try:
        yield model
    finally:
        await model.close()


async def run_once(config: RunConfig) -> Result:
    """Run one analysis; an unreachable Prometheus is an error."""
    async with open_loop(config) as (loop, _):
        return await _one_cycle(loop, time.time())


async def _one_cycle(loop: Loop, at: float) -> Result:
    result = await loop.cycle(at)
    if result is None:
        raise loop.failure or AnalyzerError("the cycle gave no result")
    return result


async def write_report(config: RunConfig) -> str:
    """Run one analysis and return the report."""
    async with open_loop(config) as (loop, database):
        at = time.time()
        result = await _one_cycle(loop, at)
        past, stored = database.findings(at - REPORT_SECONDS), database.recommendations()
        alerts = await loop.alerts(at)
        return render_report(result, loop.published.batches, Record(past, stored, alerts))


def open_store(config: RunConfig) -> Database:
    """Open the database alone, for commands that need no Prometheus."""
    return Database(config.store_url)


async def serve(config: RunConfig) -> None:
    """Run the service until SIGTERM or SIGINT."""
    token = read_secret(config.token_file) if config.token_file else None
    async with open_loop(config) as (loop, database):
        stop = asyncio.Event()
        web = build_web(loop.published, database, token)
        server = _Server(
            uvicorn.Config(
                web, host=config.listen_host, port=config.listen_port, log_level="warning", timeout_graceful_shutdown=3
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        log.info("listening on http://%s:%d", config.listen_host, config.listen_port)
        await _until_stopped(loop, server, stop)
    log.info("stopped")


async def _until_stopped(loop: Loop, server: uvicorn.Server, stop: asyncio.Event) -> None:
    serving = asyncio.create_task(_serve(server))
    cycling = asyncio.create_task(loop.run(stop))
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


async def _serve(server: uvicorn.Server) -> None:
    """Uvicorn leaves with SystemExit when the port is taken; say so in our own words."""
    try:
        await server.serve()
    except SystemExit as error:
        config = server.config
        raise ConfigError(
            f"--web.listen-address has value '{config.host}:{config.port}': the port is taken or not ours to open"
        ) from error
