"""The lease: one publishes, whatever is frozen, cut off, or has another clock; and a stale term writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.elector import Elector, identify_process, introduce, is_gone
from perfloop_analyzer.errors import LeaseLostError, StoreError
from perfloop_analyzer.incidents import Memory
from perfloop_analyzer.lease import Alone, Claim, Fence, Holding, Member, is_one_watch, lease_seconds
from perfloop_analyzer.store import Database
from tests.analyzer.test_store import make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.elector import Book

LENGTH = 12.5  # of the lease at the shipped interval, in seconds


@dataclass
class Clock:
    """A clock of one machine: some seconds ahead, and a little fast or slow."""

    ahead: float = 0.0
    rate: float = 1.0
    now: float = 0.0

    def __call__(self) -> float:
        """Return what it shows."""
        return self.ahead + self.rate * self.now


@dataclass
class Line:
    """The way to a database, which a test cuts."""

    book: Book
    is_cut: bool = False

    def __getattr__(self, name: str) -> object:
        if self.is_cut:
            raise StoreError("the database does not answer")
        return getattr(self.book, name)


@dataclass
class Analyzer:
    """One that stands for the lease."""

    name: str
    line: Line
    clock: Clock = field(default_factory=Clock)
    is_file: bool = False
    is_frozen: bool = False

    def __post_init__(self) -> None:
        self.elector = Elector(self.line, Member(self.name), LENGTH, is_file=self.is_file, clock=self.clock)

    async def turn(self, now: float) -> bool:
        """Take a turn, where it is not frozen, and return whether it publishes."""
        self.clock.now = now
        if self.is_frozen:
            return False
        before = self.elector.is_leader  # a scrape may come before the turn
        await self.elector.turn()
        return before or self.elector.is_leader


@pytest.fixture
def database(url: str) -> Database:
    """A database of both kinds, without a lease from another test."""
    found = Database(url)
    held = found.lease.read()
    found.lease.leave(Member(held.holder))
    found.lease.forget([f"a{n}" for n in range(4)])
    return found


def _two(database: Database) -> list[Analyzer]:
    return [Analyzer(f"a{n}", Line(database.lease), Clock(ahead=1e6 * n)) for n in range(2)]


async def _publishing(analyzers: Sequence[Analyzer], now: float) -> list[str]:
    return [one.name for one in analyzers if await one.turn(now)]


async def _run(analyzers: Sequence[Analyzer], start: float, seconds: float) -> float | None:
    """Let everybody take a turn each second; return when another one published than at the start."""
    first = await _publishing(analyzers, start)
    for step in range(1, round(seconds) + 1):
        found = await _publishing(analyzers, start + step)
        assert len(found) <= 1
        if found and found != first:
            return float(step)
    return None


async def test_one_of_two_publishes_and_keeps_the_lease(database: Database) -> None:
    """The first one takes it, and while it lives nobody else has it; it sees the other one wait."""
    one, other = _two(database)
    assert await _run([one, other], 0.0, 60.0) is None
    assert one.elector.is_leader
    assert one.elector.as_dict()["standbys"] == 1
    assert other.elector.as_dict()["leader"] is False
    database.close()


@pytest.mark.parametrize("trouble", ["frozen", "cut off"])
async def test_another_takes_over_within_two_intervals(database: Database, trouble: str) -> None:
    """When the holder hangs or is cut off, the lease is taken in time for a whole cycle, and in the next term."""
    one, other = analyzers = _two(database)
    await _run(analyzers, 0.0, 10.0)
    term = one.elector.election.term
    one.is_frozen, one.line.is_cut = trouble == "frozen", trouble == "cut off"
    taken = await _run([other], 10.0, 20.0)
    assert taken is not None
    assert taken <= 15.0
    assert other.elector.election.term == term + 1
    database.close()


async def test_the_one_that_was_frozen_publishes_and_writes_no_more(database: Database) -> None:
    """What goes on after a freeze neither publishes in between nor writes in its old term, and waits for its turn."""
    one, other = analyzers = _two(database)
    await _run(analyzers, 0.0, 5.0)
    stale = database.fenced(Fence(one.elector.claim))
    stale.merge([make("before-the-freeze")], 1.0)
    one.is_frozen = True
    await _run(analyzers, 5.0, 20.0)
    one.clock.now = 25.0
    assert not one.elector.is_leader
    for write in (
        lambda: stale.merge([make("after-the-freeze")], 2.0),
        lambda: stale.write_memory(Memory(2.0)),
        lambda: stale.write_findings([], 2.0),
        lambda: stale.write_baselines({"x": {}}, 2.0),
    ):
        with pytest.raises(LeaseLostError, match="another analyzer has the lease"):
            write()
    assert "after-the-freeze" not in {found.id for found in database.recommendations()}
    one.is_frozen = False
    assert await _publishing(analyzers, 26.0) == [other.name]
    assert await _run(analyzers, 26.0, 60.0) is None
    database.close()


async def test_a_lease_that_is_given_back_is_taken_at_once(database: Database) -> None:
    """A planned stop costs no wait."""
    one, other = analyzers = _two(database)
    await _run(analyzers, 0.0, 3.0)
    await one.elector.leave()
    assert await other.turn(3.1)
    assert not one.elector.is_leader
    database.close()


async def test_without_anybody_who_waits_it_goes_on_without_its_database(database: Database) -> None:
    """A single analyzer publishes while its database is away, and the same lease goes on afterwards."""
    one = _two(database)[0]
    await _run([one], 0.0, 5.0)
    one.line.is_cut = True
    assert await _publishing([one], 100.0) == [one.name]
    assert one.elector.as_dict()["problem"] == "the database does not answer"
    one.line.is_cut = False
    term = one.elector.election.term
    assert await _publishing([one], 101.0) == [one.name]
    assert one.elector.election.term == term
    database.close()


@pytest.mark.parametrize(("is_file", "publishes"), [(True, True), (False, False)])
async def test_who_never_reached_its_database(database: Database, is_file: bool, publishes: bool) -> None:  # noqa: FBT001
    """With a broken file it publishes after a while; a server that is away may have another analyzer's lease."""
    one = Analyzer("a0", Line(database.lease, is_cut=True), is_file=is_file)
    assert not await one.turn(0.0)
    assert await one.turn(2 * LENGTH) is publishes
    one.line.is_cut = False
    assert await one.turn(3 * LENGTH)
    assert one.elector.election.term > 0
    database.close()


async def test_a_database_that_is_emptied_makes_no_term_again(tmp_path: object) -> None:
    """Terms only grow for those who were there: what wrote in an earlier database writes nothing in this one."""
    one = Analyzer("a0", Line(Database("sqlite://").lease))
    await one.turn(0.0)
    first = one.elector.claim
    fresh = Database("sqlite://")
    one.line.book = fresh.lease
    assert await one.turn(1.0)
    assert one.elector.claim.term > first.term
    with pytest.raises(LeaseLostError):
        fresh.fenced(Fence(first)).write_memory(Memory(1.0))
    fresh.fenced(Fence(one.elector.claim)).write_memory(Memory(1.0))


def test_of_two_who_take_it_at_once_one_does(database: Database) -> None:
    """Both saw the same; the second one's statement changes nothing."""
    seen = database.lease.read()
    terms = [database.lease.take(seen, Member(f"a{n}"), seen.term) is not None for n in range(2)]
    assert terms == [True, False]
    assert database.lease.read().holder == "a0"
    database.close()


def test_people_may_decide_at_any_analyzer(database: Database) -> None:
    """What a person does goes into the database from an analyzer that waits, too."""
    identifier = f"decided-{time.monotonic_ns()}"
    database.merge([make(identifier)], 1.0)
    assert database.transition(identifier, "accept", 2.0).state == "accepted"
    database.close()


@given(
    rates=st.lists(st.floats(0.96, 1.04), min_size=3, max_size=3),
    steps=st.lists(
        st.tuples(st.floats(0.2, 4.5), st.integers(0, 2), st.sampled_from(["freeze", "cut", "heal", "leave", "none"])),
        min_size=10,
        max_size=60,
    ),
)
@settings(max_examples=40, deadline=None)
def test_never_two_at_once(rates: list[float], steps: list[tuple[float, int, str]]) -> None:
    """Three analyzers, each with a clock of its own, frozen, cut off, healed and stopped in any order, for minutes.

    At no moment do two of them publish, and no term has two holders. Each was seen to wait before the trouble began.
    """
    import asyncio

    database = Database("sqlite://")
    analyzers = [
        Analyzer(f"a{n}", Line(database.lease), Clock(ahead=1e5 * n, rate=rate)) for n, rate in enumerate(rates)
    ]
    holders: dict[int, str] = {}

    async def simulate() -> None:
        now = 0.0
        await _publishing(analyzers, now)
        await _publishing(analyzers, now)
        for pause, which, event in steps:
            one = analyzers[which]
            one.is_frozen = (one.is_frozen or event == "freeze") and event != "heal"
            one.line.is_cut = (one.line.is_cut or event == "cut") and event != "heal"
            if event == "leave" and not one.is_frozen and not one.line.is_cut:
                await one.elector.leave()
                one.elector = Elector(one.line, Member(one.name), LENGTH, clock=one.clock)
                await one.turn(now)
            for part in range(1, 5):
                found = await _publishing(analyzers, now + pause * part / 4)
                for name in found:
                    term = next(a.elector.election.term for a in analyzers if a.name == name)
                    assert holders.setdefault(term, name) == name
                assert len(found) <= 1
            now += pause

    asyncio.run(simulate())
    database.close()


def test_a_process_that_ended_is_known_to_have(tmp_path: object) -> None:
    """A kill -9 on the same machine is seen at once; a process that lives, or another machine's, never looks ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = identify_process(child.pid)
    assert not is_gone(identity)
    assert not is_gone(introduce("").process)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(identity), "a zombie has ended"
    child.communicate()
    assert is_gone(identity)
    boot, rest = identity.split("/", 1)
    assert not is_gone(f"{boot}x/{rest}")
    assert not is_gone("")
    assert not is_gone("nonsense/1")


def test_the_length_fits_two_intervals() -> None:
    """Lease, a look, and as much time for the first cycle are no longer than two intervals, from 5 s on."""
    for interval in (5.0, 10.0, 15.0, 30.0, 300.0):
        assert 1.2 * lease_seconds(interval) <= 1.75 * interval or interval == 5.0
    assert lease_seconds(1.0) == 5.0


def test_what_is_one_watch() -> None:
    """A lease that somebody else may have had in between is another watch."""
    assert is_one_watch(None, None)
    assert is_one_watch(Claim("a", 3), Claim("a", 3))
    assert is_one_watch(Claim("a", 0), Claim("a", 7))
    assert is_one_watch(Claim("a", 3), Claim("a", 4))
    assert not is_one_watch(Claim("a", 3), Claim("a", 5))
    assert not is_one_watch(Claim("a", 3), Claim("a", 0))
    assert Alone().as_dict()["leader"]
    assert Holding().holder == ""
