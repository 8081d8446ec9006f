"""Makes reports when they are due: each once, whoever makes it, whatever the clock does, however long nobody looked.

A report is owed from the newest moment of its schedule on, once it has been known for longer than that. So one that
was missed while no analyzer ran is made up once, about the time that it would have been about; older ones are not. The
database says who makes it and what arrived. One that fails is tried again, after longer and longer waits, until the
next one is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson

from perfloop_analyzer.answers import to_json
from perfloop_analyzer.errors import AnalyzerError, StoreError
from perfloop_analyzer.reports.letters import Letter
from perfloop_analyzer.reports.rendering import render_body, render_mail, render_markdown, render_page
from perfloop_analyzer.reports.window import window_at
from perfloop_analyzer.store.reports import SENT, ReportTexts, identify

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_analyzer.published import ReportHealth
    from perfloop_analyzer.reports.document import Report
    from perfloop_analyzer.reports.window import Window
    from perfloop_analyzer.store.reports import ReportBook, StoredReport
    from perfloop_base.reports import Reports, ScheduledReport

log = logging.getLogger("analyzer.reports")

TICK_SECONDS = 1.0
FAILURE_PAUSES = 3.0  # of patience, before the next look after a failure
MAKING_SECONDS = 240.0
STOPPED = "the analyzer was stopped meanwhile"
PAGE = "page"  # the channel that is the analyzer itself


class Maker(Protocol):
    """Makes the report of a window."""

    async def make(self, kind: str, window: Window, made: float) -> Report:
        """Return it.

        Raises:
            AnalyzerError: It cannot be made, for example because Prometheus does not answer.
        """


class Carrier(Protocol):
    """Sends letters."""

    async def send(self, channel: str, letter: Letter) -> None:
        """Send a letter; when this returns, the channel has taken it.

        Raises:
            AnalyzerError: It has not.
        """


@dataclass(slots=True)
class Scheduler:
    """Makes and sends the reports of a schedule.

    Attributes:
        plans: Returns the schedule as it is now.
        maker, carrier: Make and send them.
        book: Where they are kept.
        health: What is published of them.
        pages: The address of the analyzer for a browser, without a slash at its end; empty where it is unknown.
        patience: Seconds between two looks at a report that is due and not sent.
        on_duty: Whether this analyzer is the one of its database that makes reports.
    """

    plans: Callable[[], Reports]
    maker: Maker
    carrier: Carrier
    book: ReportBook
    health: ReportHealth
    pages: str = ""
    patience: float = 5.0
    on_duty: Callable[[], bool] = lambda: True
    _owner: str = field(default_factory=lambda: secrets.token_hex(8))
    # Per report the schedule and the moment of which nothing more is owed.
    _settled: dict[str, tuple[str, float]] = field(default_factory=dict)
    # On the monotonic clock: until when a report is not looked at.
    _pauses: dict[str, float] = field(default_factory=dict)
    # What a channel took while the database could not be written: it is not sent again.
    _taken: set[tuple[str, str]] = field(default_factory=set)

    async def run(self, stop: asyncio.Event, clock: Callable[[], float]) -> None:
        """Look every second until `stop` is set."""
        while not stop.is_set():
            if self.on_duty():
                await self.look(clock)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK_SECONDS)

    async def look(self, clock: Callable[[], float]) -> None:
        """Make and send whatever is due now."""
        plans = self.plans()
        self.health.follow(one.name for one in plans.reports)
        for one in plans.reports:
            try:
                await self._attend(one, plans.keep, clock)
            except (AnalyzerError, StoreError) as error:
                self._note_failure(one, str(error))
            except Exception as error:  # the edge of reporting: the analysis goes on without a report
                log.exception("the report %s failed", one.name)
                self._note_failure(one, f"{type(error).__name__}: {error}")

    async def _attend(self, one: ScheduledReport, keep: int, clock: Callable[[], float]) -> None:
        at, key = clock(), f"{one.schedule.expression} {one.schedule.zone.key}"
        due = one.schedule.last(at)
        if due is None or self._settled.get(one.name) == (key, due):
            return
        if time.monotonic() < self._pauses.get(one.name, 0.0):
            return
        self._pauses[one.name] = time.monotonic() + self.patience
        since = await asyncio.to_thread(self.book.since, one.name, key, at)
        if due <= since:
            await self._recall(one.name)
            self._settled[one.name] = (key, due)
            return
        self.health.owe(one.name, due)
        claimed = await asyncio.to_thread(self.book.claim, one.name, one.kind, due, self._owner, at)
        if claimed is not None:
            await self._work(one, claimed, clock)
            await asyncio.to_thread(self.book.prune, one.name, keep)
        stored = await asyncio.to_thread(self.book.find, identify(one.name, due))
        if stored is not None and stored.state == SENT:
            self.health.succeed(one.name, stored.finished or at)
            self._settled[one.name] = (key, due)

    async def _recall(self, name: str) -> None:
        """Publish what earlier runs of the program did."""
        listed = await asyncio.to_thread(self.book.listed, name)
        finished = next((one.finished for one in listed if one.finished is not None), None)
        if finished is not None:
            self.health.succeed(name, finished)

    async def _work(self, one: ScheduledReport, claimed: StoredReport, clock: Callable[[], float]) -> None:
        """Make and send a report that is in these hands, and write down what became of it."""
        try:
            letter = await self._letter(one, claimed, clock)
            await self._send(one, claimed, letter, clock)
        except asyncio.CancelledError:
            # At once, as nothing is waited for any more: so the next start need not wait until the lease is over.
            with contextlib.suppress(StoreError):
                self.book.fail(claimed.id, STOPPED, clock())
            raise
        except Exception as error:
            problem = str(error) if isinstance(error, AnalyzerError | StoreError) else type(error).__name__
            await asyncio.to_thread(self.book.fail, claimed.id, problem, clock())
            raise

    async def _letter(self, one: ScheduledReport, claimed: StoredReport, clock: Callable[[], float]) -> Letter:
        """Return the report as it is sent; one that an earlier attempt has made is sent as it was."""
        texts = await asyncio.to_thread(self.book.texts, claimed.id)
        if texts is None:
            window = window_at(claimed.due, one.window, one.schedule.zone)
            try:
                report = await asyncio.wait_for(self.maker.make(one.kind, window, clock()), MAKING_SECONDS)
            except TimeoutError as error:
                raise AnalyzerError(f"the report was not made within {MAKING_SECONDS:.0f} s") from error
            texts = await asyncio.to_thread(_write, report)
            await asyncio.to_thread(self.book.keep, claimed.id, texts)
        return _address(claimed.id, texts, self.pages)

    async def _send(
        self, one: ScheduledReport, claimed: StoredReport, letter: Letter, clock: Callable[[], float]
    ) -> None:
        problems = []
        for channel in one.channels:
            if channel == PAGE or channel in claimed.delivered:
                continue
            if (claimed.id, channel) not in self._taken:
                if not await asyncio.to_thread(self.book.holds, claimed.id, self._owner, clock()):
                    return  # another analyzer has it: this one was away for too long
                try:
                    await self.carrier.send(channel, letter)
                except AnalyzerError as error:
                    problems.append(str(error))
                    continue
                self._taken.add((claimed.id, channel))
            await asyncio.to_thread(self.book.delivered, claimed.id, channel, clock())
        if problems:
            raise AnalyzerError("; ".join(problems))
        await asyncio.to_thread(self.book.finish, claimed.id, clock())
        self._taken = {taken for taken in self._taken if taken[0] != claimed.id}
        log.info("sent the report %s", claimed.id)

    def _note_failure(self, one: ScheduledReport, problem: str) -> None:
        self.health.fail(one.name, problem)
        self._pauses[one.name] = time.monotonic() + FAILURE_PAUSES * self.patience
        log.warning("the report %s failed: %s", one.name, problem)


def _write(report: Report) -> ReportTexts:
    # As every reader of it gets it: what JSON does not have is not in the database either.
    document = orjson.loads(to_json(report.as_dict()))
    return ReportTexts(report.name, render_body(report), render_markdown(report), document)


def _address(identifier: str, texts: ReportTexts, pages: str) -> Letter:
    page = f"{pages}/reports/{identifier}" if pages else ""
    headlines = texts.document.get("headlines")
    return Letter(
        identifier,
        f"Perfloop: {texts.title}",
        [str(one) for one in headlines] if isinstance(headlines, list) else [],
        f"{texts.markdown}\n{page}\n" if page else texts.markdown,
        render_mail(texts.title, texts.body, page),
        render_page(texts.title, texts.body),
        page,
    )
