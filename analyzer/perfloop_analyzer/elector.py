"""Stands for the lease of the database: prolongs it while it is held, takes it when nobody holds it any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_analyzer.errors import StoreError
from perfloop_analyzer.lease import Claim, Election, Member, beating
from perfloop_base.processes import identify, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_analyzer.lease import Holding

BEATS = 5  # of the holder, in the length of a lease
LOOKS = 10  # of the others
LOOKS_PER_BEAT = 4  # an analyzer that waits says so with each fourth look
ANSWERS = 4  # an answer of the database is waited for this part of a lease: one beat may fail, and the next

log = logging.getLogger("analyzer.lease")


class Book(Protocol):
    """The lease in the database. Every method may raise a StoreError."""

    def read(self) -> Holding:
        """Return who has the lease."""

    def take(self, seen: Holding, me: Member, least_term: int) -> int | None:
        """Take the lease that was seen and return its term; None where somebody was faster."""

    def renew(self, me: Member, term: int) -> list[Member] | None:
        """Prolong the lease and return who waits; None where it is not held any more."""

    def attend(self, me: Member) -> None:
        """Say that an analyzer waits."""

    def forget(self, ids: Sequence[str]) -> None:
        """Delete analyzers that wait no longer."""

    def leave(self, me: Member) -> None:
        """Give the lease back, and wait for it no longer."""


def ticks() -> float:
    """Return seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Elector:
    """The post of one analyzer of several: asks the database on a schedule of its own, whatever a cycle does."""

    def __init__(
        self, book: Book, me: Member, seconds: float, *, is_file: bool = False, clock: Callable[[], float] = ticks
    ) -> None:
        """Stand for the lease of a database.

        Args:
            book: The lease in the database.
            me: This analyzer.
            seconds: The length of the lease.
            is_file: Whether the database is a file of this machine.
            clock: Seconds on a clock that nobody sets.
        """
        self._book = book
        self._me = me
        self._clock = clock
        self._looks = 0
        self._leaves = False
        self._won = asyncio.Event()
        self.election = Election(seconds, clock(), trusts_itself=is_file)

    @property
    def claim(self) -> Claim:
        """In whose name it writes."""
        return Claim(self._me.id, self.election.term)

    @property
    def is_leader(self) -> bool:
        """Whether it may publish now."""
        return self.election.may_publish(self._clock())

    def as_dict(self) -> dict[str, Any]:
        """Who publishes, for people and programs."""
        return self.election.as_dict(self._clock())

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait until it may publish, or until `stop` is set."""
        while not stop.is_set() and not self.is_leader:
            self._won.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._won.wait(), self.election.seconds / LOOKS)

    async def run(self, stop: asyncio.Event) -> None:
        """Look, take and prolong until `stop` is set; then give the lease back."""
        while not stop.is_set():
            await self.turn()
            pause = self.election.seconds / (BEATS if self.election.term else LOOKS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def leave(self) -> None:
        """Give the lease back, so that nobody needs to wait for its end; without the database it ends by itself."""
        self._leaves = True
        self.election.lost()
        with contextlib.suppress(StoreError, TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._book.leave, self._me), self.election.seconds / ANSWERS)

    async def turn(self) -> None:
        """Ask the database once."""
        began, before, patience = self._clock(), self.is_leader, self.election.seconds / ANSWERS
        try:
            await asyncio.wait_for(asyncio.to_thread(self._contact, began), patience)
        except (StoreError, TimeoutError) as error:
            self.election.cut_off(str(error) or f"the database has not answered for {patience:g} s", began)
        if self.is_leader:
            self._won.set()
        if before != self.is_leader:
            log.warning("%s", "this analyzer publishes now" if self.is_leader else "this analyzer publishes no more")

    def _contact(self, began: float) -> None:
        if self.election.term and self._prolong(began):
            return
        holding = self._book.read()
        self.election.see(holding, began)
        if holding.holder == self._me.id:  # taken by a request whose answer came too late
            self.election.won(holding.term, began, self._me)
            self._prolong(began)
        elif not self._leaves and (self.election.may_take(began) or is_gone(holding.process)):
            term = self._book.take(holding, self._me, self.election.least_term)
            if term is not None:
                # Who takes the lease of a new database has made its name.
                self.election.won(term, began, self._me, holding.lease or self._book.read().lease)
                self._prolong(began)
        elif self._looks % LOOKS_PER_BEAT == 0:
            self._me = beating(self._me)
            self._book.attend(self._me)
        self._looks += 1

    def _prolong(self, began: float) -> bool:
        others = self._book.renew(self._me, self.election.term)
        if others is None:
            self.election.lost()
            return False
        self.election.renewed(began)
        if gone := self.election.meet(others, began):
            self._book.forget(gone)
        return True


def introduce(place: str) -> Member:
    """Return this run of the program as a member; `place` is the address of its page."""
    return Member(secrets.token_hex(8), identify_process(), place)


def identify_process(number: int | None = None) -> str:
    """Return what no other process has, on any machine and after any restart; empty where the system does not say."""
    machine = _machine()
    return f"{machine}/{identify(number)}" if machine else ""


def is_gone(process: str) -> bool:
    """Return whether a process of this machine has ended; of one that cannot be seen from here it is not known."""
    machine, _, identity = process.rpartition("/")
    number = identity.partition(":")[0]
    if not machine or machine != _machine() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's, of which nothing need be seen
    return not is_alive(identity)


def _machine() -> str:
    """Return this boot of the machine and the name space of process numbers; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
