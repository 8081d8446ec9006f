"""The lease: of several analyzers on one database one publishes. What each of them knows of it, without any I/O.

The database holds who has the lease, in which term, and a beat that the holder counts up. An analyzer that waits takes
the lease once it has seen the same beat for the lease's whole length on its own clock, which no change of a machine's
time moves; so no two clocks are ever compared, and none needs to be right. The holder stops publishing when SAFE of
that length has passed since it began its last beat that succeeded: earlier than anybody may take over. Terms only grow,
and every write of a cycle names its term (`Claim`): one that was frozen, and goes on, writes nothing.

C. Gray, D. Cheriton, "Leases", SOSP 1989; the term is the fencing token of M. Kleppmann, "How to do distributed
locking", 2016. All moments are in seconds on the clock of `time.CLOCK_BOOTTIME`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

SAFE = 0.9  # of the lease's length: two clocks may run differently fast by a tenth
LENGTH_IN_INTERVALS = 1.25  # with a look each tenth of it, and the first cycle, within two intervals
SHORTEST, LONGEST = 5.0, 15.0  # seconds: a busy database answers within the first
FORGET = 300.0  # seconds after which one that waited, and says nothing more, waits no longer


@dataclass(frozen=True, slots=True)
class Member:
    """One analyzer of a database.

    Attributes:
        id: A random name of this run of the program.
        process: The machine's boot, the process's name space, its number and when it began; empty where not known.
        place: The address of its page, for people.
        beat: How often it has said that it is there.
    """

    id: str
    process: str = ""
    place: str = ""
    beat: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """What the database says of the lease: `holder` is a Member's id, empty where nobody has it.

    `lease` is a random name, which the database has had since it was made.
    """

    lease: str = ""
    holder: str = ""
    term: int = 0
    beat: int = 0
    process: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """In whose name a cycle writes; a term of 0 may write nothing."""

    holder: str
    term: int


class Post(Protocol):
    """Whether this analyzer is the one that publishes."""

    @property
    def claim(self) -> Claim | None:
        """In whose name it writes; None where no other analyzer can have the same database."""

    @property
    def is_leader(self) -> bool:
        """Whether it may publish now."""

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait until it may publish, or until `stop` is set."""

    def as_dict(self) -> dict[str, Any]:
        """Who publishes, for people and programs."""


class Alone:
    """The post of an analyzer that shares its database with nobody: it always publishes."""

    claim: Claim | None = None
    is_leader = True

    async def wait(self, stop: asyncio.Event) -> None:
        """Return at once."""

    def as_dict(self) -> dict[str, Any]:
        """Who publishes."""
        return {"leader": True, "lease": "", "term": 0, "holder": "", "standbys": 0, "problem": ""}


@dataclass(slots=True)
class Fence:
    """The check between a cycle and the database: in whose name it writes, which each cycle sets as it begins."""

    claim: Claim | None = None


def lease_seconds(interval_seconds: float) -> float:
    """Return the length of the lease for an interval between two cycles."""
    return min(max(SHORTEST, LENGTH_IN_INTERVALS * interval_seconds), LONGEST)


class Election:
    """What one analyzer has seen of the lease, and whether it may publish, or take it.

    Attributes:
        term: The term of its own lease; 0 while it has none.
        holding: What the database said the last time.
        others: How many other analyzers wait, as the holder saw it.
        problem: Why the database was not reached the last time; empty while it was.
    """

    def __init__(self, seconds: float, began: float, *, trusts_itself: bool = False) -> None:
        """Know nothing yet.

        Args:
            seconds: The length of the lease.
            began: When the analyzer began to look.
            trusts_itself: Whether to publish when the database could not be used since then. That is right for a file
                of this machine: whatever is wrong with it is so for every analyzer that has it.
        """
        self.seconds = seconds
        self._began: float | None = began if trusts_itself else None
        self.term = 0
        self.holding = Holding()
        self.others = 0
        self.problem = ""
        self._highest = 0
        self._valid_until = 0.0
        self._seen_since = 0.0
        self._standbys: dict[str, tuple[int, float]] = {}

    @property
    def least_term(self) -> int:
        """The term that the next lease must be above: a database that was emptied knows no earlier ones."""
        return max(self._highest, self.holding.term)

    def may_publish(self, now: float) -> bool:
        """Return whether the lease is held, and for long enough."""
        return now < self._valid_until

    def won(self, term: int, began: float, me: Member, lease: str = "") -> None:
        """Note that the lease was taken by a request that began at a moment; its name where it was not known."""
        self.term = self._highest = term
        self.holding = Holding(self.holding.lease or lease, me.id, term, process=me.process, place=me.place)
        self._began = None
        self._valid_until = began + SAFE * self.seconds
        self._standbys.clear()
        self.others = 1  # until the first look says who waits
        self.problem = ""

    def renewed(self, began: float) -> None:
        """Note that the lease was prolonged by a request that began at a moment."""
        self._valid_until = began + SAFE * self.seconds
        self.problem = ""

    def lost(self) -> None:
        """Note that another analyzer has the lease, or that it is gone."""
        self.term, self._valid_until = 0, 0.0

    def cut_off(self, problem: str, began: float) -> None:
        """Note that the database was not reached by a request that began at a moment.

        An analyzer that nobody waited for goes on publishing, as its results are wanted and nobody else has any. Where
        one waits, it will take the lease, and this one must have stopped by then.
        """
        self.problem = problem
        never_seen = self._began is not None and began - self._began >= self.seconds
        if never_seen or (self.term and not self.others):
            self._valid_until = began + SAFE * self.seconds

    def see(self, holding: Holding, now: float) -> None:
        """Note what the database says of the lease."""
        if (holding.holder, holding.term, holding.beat) != self._last:
            self._seen_since = now
        self.holding = holding
        if self._began is not None and holding.holder:
            self._valid_until = 0.0
        self._began = None
        self._highest = max(self._highest, holding.term)
        self.problem = ""

    @property
    def _last(self) -> tuple[str, int, int]:
        return self.holding.holder, self.holding.term, self.holding.beat

    def may_take(self, now: float) -> bool:
        """Return whether the lease that was seen is nobody's any more."""
        return not self.holding.holder or now - self._seen_since >= self.seconds

    def meet(self, members: list[Member], now: float) -> list[str]:
        """Count those who wait; return the ids of those who have said nothing for FORGET."""
        known = {}
        for one in members:
            beat, since = self._standbys.get(one.id, (-1, now))
            known[one.id] = (one.beat, now if one.beat != beat else since)
        gone = [id_ for id_, (_, since) in known.items() if now - since > FORGET]
        self._standbys = {id_: seen for id_, seen in known.items() if id_ not in gone}
        self.others = len(self._standbys)
        return gone

    def as_dict(self, now: float) -> dict[str, Any]:
        """Who publishes, for people and programs."""
        return {
            "leader": self.may_publish(now),
            "lease": self.holding.lease,
            "term": self.holding.term,
            "holder": self.holding.place,
            "standbys": self.others,
            "problem": self.problem,
        }


def is_one_watch(before: Claim | None, after: Claim | None) -> bool:
    """Return whether nobody else can have had the lease between two claims of one analyzer."""
    if before is None or after is None:
        return before is after
    return before.term == 0 or after.term - before.term in {0, 1}


def beating(member: Member) -> Member:
    """Return a member that has said once more that it is there."""
    return replace(member, beat=member.beat + 1)
