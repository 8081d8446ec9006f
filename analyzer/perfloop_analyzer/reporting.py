"""Reports about a span of time, put together: what they are made from, who makes them when, and where they are kept."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.reports.delivery import Courier, Destinations
from perfloop_analyzer.reports.gathering import Gatherer, Places
from perfloop_analyzer.reports.making import ReportMaker
from perfloop_analyzer.reports.pages import Shelf
from perfloop_analyzer.reports.plans import PlanFile
from perfloop_analyzer.reports.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.config import SourceConfig
    from perfloop_analyzer.published import Published
    from perfloop_analyzer.report_config import ReportsConfig, ReportSources
    from perfloop_analyzer.store import Database
    from perfloop_base.prices import Prices

# A query over weeks takes longer than one of a cycle; nothing waits for it but the report.
QUERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """What reports need of the service: its database, what it publishes, its address for a browser, its clock."""

    database: Database
    published: Published
    pages: str
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Reporting:
    """What the service runs for its reports: who makes them when, and what their pages show."""

    scheduler: Scheduler
    shelf: Shelf


@contextlib.asynccontextmanager
async def open_maker(
    source: SourceConfig,
    sources: ReportSources,
    database: Database,
    catalog: Callable[[], Sequence[Signal]],
    prices: Callable[[], Prices | None] = lambda: None,
) -> AsyncIterator[ReportMaker]:
    """Open Prometheus for reports alone: what they ask counts against no cycle, and no cycle waits for it."""
    patient = replace(source.located(), timeout_seconds=max(source.timeout_seconds, QUERY_SECONDS))
    places = Places(sources.alertmanager_url, sources.inbox_url)
    async with PrometheusSource(patient) as prometheus:
        yield ReportMaker(Gatherer(prometheus, database, catalog, places, prices))


@contextlib.asynccontextmanager
async def open_reporting(source: SourceConfig, reports: ReportsConfig, service: Service) -> AsyncIterator[Reporting]:
    """Open what the service's reports need.

    Raises:
        ConfigError: The schedule's file is wrong.
    """
    located, database = reports.located(), service.database
    plans = PlanFile(located.file)
    courier = Courier(Destinations(located.secrets_dir, located.inbox_url, located.mail_address()))
    published = service.published
    async with open_maker(source, located, database, lambda: published.catalog, lambda: published.prices) as maker:
        health, book = published.reports, database.reports
        scheduler = Scheduler(
            plans.current, maker, courier, book, health, service.pages, on_duty=lambda: published.post.is_leader
        )
        yield Reporting(scheduler, Shelf(book, maker, plans, service.clock))
