"""When a component hangs: decided from its answers, round by round. Pure: time and answers are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUND_SECONDS = 3.0
ANSWER_SECONDS = 2.0
# Ten rounds in a row without an answer, about half a minute: rounds and not seconds are counted, so that a machine that
# was suspended, with the guardian on it, has not hung.
OWN_ROUNDS = 10
# The demo and its load stand for a person's own services: what they do wrong is to be seen first, as an incident.
THEIR_ROUNDS = 100
_THEIRS = frozenset({"demo", "loadgen"})
# A process that has not answered yet may be reading its data: Prometheus its write-ahead log, Grafana its migrations.
GRACE_SECONDS = 180.0
# On a machine with far too much to do, a process that works though it does not answer is waiting like everybody else:
# its rounds count a quarter, since ending it would give the machine more to do. One that is stopped does not work.
CROWDED_WEIGHT = 0.25
CROWDED_LOAD = 3.0  # runnable processes for each core
# A round that begins this much too late was waiting for the machine, and so may they have been.
LATE_SECONDS = 2.0


def rounds_until_hung(name: str) -> int:
    """Return after how many rounds in a row without an answer a component counts as hung."""
    return THEIR_ROUNDS if name in _THEIRS else OWN_ROUNDS


@dataclass(frozen=True, slots=True)
class Answer:
    """What one component did in one round.

    Attributes:
        name: its name.
        pid: its process.
        answered: whether it answered anything at all on its address.
        waiting: whether it used its processor on a machine that has far too much to do.
    """

    name: str
    pid: int
    answered: bool
    waiting: bool = False


@dataclass(slots=True)
class _Watched:
    pid: int
    since: float
    answered: bool = False
    misses: float = 0


class Hangs:
    """How often each component did not answer since it last did."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def judge(self, answers: Iterable[Answer], now: float) -> list[Answer]:
        """Take in one round, and return the components whose process hangs: each of them in one round alone.

        Args:
            answers: one for each component that has a process.
            now: seconds of a monotonic clock.
        """
        hung = []
        for answer in answers:
            watched = self._watched.get(answer.name)
            if watched is None or watched.pid != answer.pid:
                watched = self._watched[answer.name] = _Watched(answer.pid, now)
            if answer.answered:
                watched.answered, watched.misses = True, 0
                continue
            watched.misses += CROWDED_WEIGHT if answer.waiting else 1
            starting = not watched.answered and now - watched.since < GRACE_SECONDS
            if watched.misses >= rounds_until_hung(answer.name) and not starting:
                hung.append(answer)
                watched.misses = 0  # one that cannot be ended is reported again after as many rounds
        return hung
