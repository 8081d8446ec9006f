"""When reports are made: once, whoever makes them, whatever the clock does, whoever fails."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from perfloop_analyzer.errors import SourceUnavailable, StoreError
from perfloop_analyzer.published import ReportHealth
from perfloop_analyzer.reports.document import Report, Section
from perfloop_analyzer.reports.letters import DeliveryError, Letter
from perfloop_analyzer.reports.scheduling import Scheduler
from perfloop_analyzer.store import Database
from perfloop_analyzer.store.reports import LEASE_SECONDS, ReportTexts
from perfloop_base.reports import Reports, parse_reports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop_analyzer.reports.window import Window

ZONE = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 30, 8, tzinfo=ZONE).timestamp()
WEEK, DAY = 7 * 86_400.0, 86_400.0
PLANS = """
time_zone: Europe/Berlin
keep: 3
reports:
- {report: review, kind: weekly, schedule: "0 8 * * 1"}
"""


@dataclass
class World:
    """A clock that a test sets, a maker and a carrier that it breaks."""

    book: Any
    now: float = MONDAY - DAY
    plans: Reports = field(default_factory=lambda: parse_reports(PLANS, "reports.yml"))
    windows: list[Window] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    is_silent: bool = False

    async def make(self, kind: str, window: Window, made: float) -> Report:
        """Make a report, or fail as Prometheus does."""
        if self.is_silent:
            raise SourceUnavailable("Prometheus answered nothing")
        self.windows.append(window)
        return Report(kind, "Weekly review", window, made, ("No alert fired.",), (Section("a", "A"),))

    async def send(self, channel: str, letter: Letter) -> None:
        """Take a letter, or refuse it."""
        if channel in self.broken:
            raise DeliveryError(f"{channel}: it cannot be reached")
        self.sent.append((channel, letter.identifier))

    def scheduler(self, **fields: Any) -> Scheduler:
        """An analyzer that was started now."""
        return Scheduler(lambda: self.plans, self, self, self.book, ReportHealth(), patience=0.0, **fields)

    def look(self, scheduler: Scheduler, *moments: float) -> None:
        """Let an analyzer look at these moments."""
        for moment in moments:
            self.now = moment
            asyncio.run(scheduler.look(lambda: self.now))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database on the disk."""
    opened = Database(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.close()


@pytest.fixture
def world(database: Database) -> World:
    """A world with a database."""
    return World(database.reports)


IDENTIFIER = "review-20261130T070000Z"


def test_a_report_is_sent_once_when_it_is_due(world: World) -> None:
    """By each channel, about the last full week, and not again however often anybody looks."""
    one = world.scheduler(pages="http://analyzer")
    world.look(one, MONDAY - DAY, MONDAY - 1, MONDAY, MONDAY + 1, MONDAY + 60, MONDAY + 5 * DAY)
    assert world.sent == [("email", IDENTIFIER), ("slack", IDENTIFIER)]
    assert [window.words for window in world.windows] == ["23 to 29 November 2026 (Europe/Berlin)"]
    world.look(one, MONDAY + WEEK)
    assert len(world.sent) == 4
    assert one.health.last_success == {"review": MONDAY + WEEK}
    assert one.health.due == {"review": MONDAY + WEEK}
    assert one.health.failures == {"review": 0}


def test_one_that_was_missed_is_made_up_once(world: World) -> None:
    """After three weeks without an analyzer: the newest one, about its own week, and no other."""
    world.look(world.scheduler(), MONDAY - DAY)
    later = world.scheduler()
    world.look(later, MONDAY + 2 * WEEK + DAY, MONDAY + 2 * WEEK + DAY + 5)
    assert Counter(channel for channel, _ in world.sent) == {"email": 1, "slack": 1}
    assert world.windows[0].words == "7 to 13 December 2026 (Europe/Berlin)"


def test_a_new_report_owes_nothing_of_the_past(world: World) -> None:
    """Neither one that is seen for the first time, nor one whose schedule was changed."""
    one = world.scheduler()
    world.look(one, MONDAY + DAY)
    assert world.sent == []
    world.plans = parse_reports(PLANS.replace("0 8 * * 1", "0 9 * * 1"), "reports.yml")
    world.look(one, MONDAY + 2 * DAY, MONDAY + 2 * DAY + 9)
    assert world.sent == []
    world.look(one, MONDAY + WEEK + 3600)
    assert len(world.sent) == 2


def test_of_two_analyzers_one_sends(url: str) -> None:
    """With one database, on both kinds, at the same moment in threads of their own."""
    databases = [Database(url) for _ in range(4)]
    worlds = [World(one.reports) for one in databases]
    plans = parse_reports(PLANS.replace("review", f"r{abs(hash(url)) % 10**6}"), "reports.yml")
    for one in worlds:
        one.plans = plans
        one.look(one.scheduler(), MONDAY - DAY)
    start = threading.Barrier(len(worlds))

    def look(one: World) -> None:
        start.wait()
        one.look(one.scheduler(), MONDAY, MONDAY + 1, MONDAY + 2)

    with ThreadPoolExecutor(len(worlds)) as pool:
        list(pool.map(look, worlds))
    sent = Counter(channel for one in worlds for channel, _ in one.sent)
    for one in databases:
        one.close()
    assert sent == {"email": 1, "slack": 1}


def test_a_retry_sends_to_the_channels_that_failed_alone(world: World) -> None:
    """The mail was taken: it does not come twice. The report is the one that was made first."""
    one = world.scheduler()
    world.broken = {"slack"}
    world.look(one, MONDAY - DAY, MONDAY, MONDAY + 1, MONDAY + 29)
    assert one.health.failures == {"review": 1}
    assert one.health.problems == {"review": "slack: it cannot be reached"}
    assert one.health.last_success["review"] < one.health.due["review"]
    assert world.book.listed()[0].problem == "slack: it cannot be reached"
    one._pauses.clear()
    world.broken = set()
    world.look(one, MONDAY + 31)
    assert world.sent == [("email", IDENTIFIER), ("slack", IDENTIFIER)]
    assert len(world.windows) == 1
    assert one.health.last_success == {"review": MONDAY + 31}
    assert world.book.listed()[0].problem == ""


def test_waits_double_up_to_an_hour(world: World) -> None:
    """A week of failures is some 170 attempts, not a million."""
    one = world.scheduler()
    world.broken = {"email", "slack"}
    world.look(one, MONDAY - DAY)
    tried = []
    for minute in range(600):
        one._pauses.clear()
        before = one.health.failures.get("review", 0)
        world.look(one, MONDAY + 60 * minute)
        if one.health.failures["review"] > before:
            tried.append(minute)
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert gaps[:4] == [1, 1, 2, 4]
    assert max(gaps) == 60
    assert world.sent == []


def test_it_is_overdue_since_the_first_that_failed(world: World) -> None:
    """However often another one comes due meanwhile; the one that arrives ends it."""
    world.plans = parse_reports(PLANS.replace("0 8 * * 1", "*/5 * * * *"), "reports.yml")
    one = world.scheduler()
    world.broken = {"slack"}
    for minute in range(-1, 30):
        one._pauses.clear()
        world.look(one, MONDAY + 60 * minute)
    assert one.health.due == {"review": MONDAY}
    world.broken = set()
    one._pauses.clear()
    world.look(one, MONDAY + 1800)
    assert one.health.last_success == {"review": MONDAY + 1800}
    world.look(one, MONDAY + 2100)
    assert one.health.due == {"review": MONDAY + 2100}


def test_prometheus_that_is_away_delays_the_report(world: World) -> None:
    """Nothing empty is sent."""
    one = world.scheduler()
    world.is_silent = True
    world.look(one, MONDAY - DAY, MONDAY)
    assert world.sent == []
    assert one.health.problems == {"review": "Prometheus answered nothing"}
    world.is_silent = False
    one._pauses.clear()
    world.look(one, MONDAY + 40)
    assert len(world.sent) == 2


def test_an_analyzer_that_dies_in_the_middle_is_followed_by_another(world: World) -> None:
    """When its lease is over, not before; what it sent is not sent again."""
    world.look(world.scheduler(), MONDAY - DAY)
    claimed = world.book.claim("review", "weekly", MONDAY, "dead", MONDAY)
    world.book.keep(claimed.id, ReportTexts("t", "<p>", "t", {"headlines": []}))
    world.book.delivered(claimed.id, "email", MONDAY)
    other = world.scheduler()
    world.look(other, MONDAY + 10, MONDAY + LEASE_SECONDS - 1)
    assert world.sent == []
    world.look(other, MONDAY + LEASE_SECONDS + 1)
    assert world.sent == [("slack", IDENTIFIER)]


def test_one_that_slept_past_its_lease_does_not_send(world: World) -> None:
    """Another analyzer has taken the report over meanwhile."""
    one = world.scheduler()
    world.look(one, MONDAY - DAY)

    async def make_slowly(kind: str, window: Window, made: float) -> Report:
        world.book.claim("review", "weekly", MONDAY, "other", MONDAY + LEASE_SECONDS + 1)
        return await World.make(world, kind, window, made)

    world.make = make_slowly  # type: ignore[method-assign]
    world.look(one, MONDAY)
    assert world.sent == []


@pytest.mark.parametrize("jump", [-30 * DAY, -3600.0, 3600.0, 400 * DAY])
def test_a_clock_that_jumps_and_comes_back_sends_nothing_twice(world: World, jump: float) -> None:
    """Forward it may make a report too early, once; what is due later still comes."""
    one = world.scheduler()
    world.look(one, MONDAY - DAY, MONDAY)
    before = list(world.sent)
    world.look(one, MONDAY + jump, MONDAY + jump + 5, MONDAY + 10, MONDAY + 20)
    assert len(set(world.sent)) == len(world.sent)
    assert len(world.sent) - len(before) <= 2
    world.look(one, MONDAY + WEEK)
    assert one.health.due["review"] <= one.health.last_success["review"]
    again = world.scheduler()
    world.look(again, MONDAY + 30, MONDAY + WEEK)
    assert len(set(world.sent)) == len(world.sent)
    assert ("email", "review-20261207T070000Z") in world.sent


def test_a_full_disk_loses_no_report_and_doubles_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written nothing is sent; what was sent before a write failed is not sent again."""
    one = world.scheduler()
    world.look(one, MONDAY - DAY)

    def full(*_: object, **__: object) -> None:
        raise StoreError("the database failed: database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(world.book, "claim", full)
        world.look(one, MONDAY)
        assert one.health.due == {"review": MONDAY}
    assert (world.sent, one.health.failures) == ([], {"review": 1})
    with monkeypatch.context() as patched:
        patched.setattr(world.book, "delivered", full)
        one._pauses.clear()
        world.look(one, MONDAY + 1)
    assert world.sent == [("email", IDENTIFIER)]
    one._pauses.clear()
    world.look(one, MONDAY + 60)
    assert world.sent == [("email", IDENTIFIER), ("slack", IDENTIFIER)]
    assert world.book.listed()[0].delivered.keys() == {"email", "slack"}


def test_the_database_keeps_the_newest_reports(world: World) -> None:
    """As many as the file says, of each name."""
    one = world.scheduler()
    world.look(one, MONDAY - DAY, *(MONDAY + WEEK * number for number in range(6)))
    assert [stored.due for stored in world.book.listed()] == [MONDAY + WEEK * number for number in (5, 4, 3)]
    assert len(world.sent) == 12


def test_a_restart_knows_when_a_report_last_arrived(world: World) -> None:
    """The alert about a missing report does not begin because of a restart."""
    world.look(world.scheduler(), MONDAY - DAY, MONDAY)
    again = world.scheduler()
    world.look(again, MONDAY + DAY)
    assert again.health.last_success == {"review": MONDAY}
    assert len(world.sent) == 2


def test_a_report_for_the_page_alone_is_sent_nowhere(world: World) -> None:
    """It is kept, and counts as arrived."""
    world.plans = parse_reports(PLANS.replace("kind: weekly", "kind: weekly, channels: [page]"), "reports.yml")
    one = world.scheduler()
    world.look(one, MONDAY - DAY, MONDAY)
    assert world.sent == []
    assert world.book.texts(IDENTIFIER).title == "Weekly review, 23 to 29 November 2026 (Europe/Berlin)"
    assert one.health.last_success == {"review": MONDAY}


def test_a_bug_in_a_report_ends_nothing(world: World) -> None:
    """It is counted and tried again; its name is logged, not its data."""

    async def broken(*_: object) -> Report:
        raise KeyError("secret-in-a-label")

    world.make = broken  # type: ignore[method-assign]
    one = world.scheduler()
    world.look(one, MONDAY - DAY, MONDAY)
    assert one.health.failures == {"review": 1}
    assert world.book.listed()[0].problem == "KeyError"


def test_an_analyzer_that_is_stopped_meanwhile_lets_go(world: World) -> None:
    """The next start sends the report within a minute, not when the lease is over."""
    one = world.scheduler()
    world.look(one, MONDAY - DAY)

    async def stop_while_sending() -> None:
        taken = asyncio.Event()

        async def hang(channel: str, letter: Letter) -> None:
            taken.set()
            await asyncio.sleep(60)

        world.send = hang  # type: ignore[method-assign]
        world.now = MONDAY
        working = asyncio.create_task(one.look(lambda: world.now))
        await taken.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(stop_while_sending())
    assert world.book.listed()[0].problem == "the analyzer was stopped meanwhile"
    del world.send
    world.look(world.scheduler(), MONDAY + 31)
    assert len(world.sent) == 2
