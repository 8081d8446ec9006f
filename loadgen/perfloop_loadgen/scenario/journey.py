"""What one user does from start to end: requests and pauses, each chosen by the answer before it.

A journey is run by a generator (steps of a file) or a coroutine (plain async Python). Both return the next move from
`send` and take the answer to it as its argument, so that a lane drives both in the same way, without a task or a future
for each request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.scenario.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from perfloop_loadgen.scenario.request import Request


# What steps return that ended before their last one; the code of a scenario may return anything.
BROKEN_OFF = object()


class Pause(NamedTuple):
    """A pause between two requests."""

    seconds: float


class Answer:
    """The result of a request, as a journey gets it.

    Attributes:
        outcome: the name that the request was counted under.
        status: the status code; 0 where no answer came.
        head: the bytes of the head.
        values: what the request's `extract` found.
    """

    __slots__ = ("_body", "_limit", "_raw", "head", "outcome", "status", "values")

    def __init__(self, outcome: str, status: int = 0, head: bytes = b"", raw: bytes = b"", limit: int = 0) -> None:
        self.outcome = outcome
        self.status = status
        self.head = head
        self.values: dict[str, Any] = {}
        self._raw = raw
        self._limit = limit
        self._body: bytes | None = None

    @property
    def ok(self) -> bool:
        """Return whether it ended as expected."""
        return self.outcome == OK

    @property
    def body(self) -> bytes:
        """Return the body, decoded as its Content-Encoding says; the first look at it pays for that.

        Raises:
            BodyError: it is damaged, or longer than max_body_bytes.
        """
        if self._body is None:
            self._body = decode(self.head, self._raw, self._limit)
        return self._body

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


class Script(Protocol):
    """A journey under way."""

    def send(self, answer: Any, /) -> Any:
        """Take the answer to the last move and return the next one; raise StopIteration at the end."""

    def close(self) -> None:
        """Leave early."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a journey; `build` fills its placeholders."""

    build: Callable[[Mapping[str, Any]], Request]
    think_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Journey:
    """One ready request (`only`), or a script to run (`play`); `index` is the row of its first request.

    `scenario` is the place of a scenario with steps in its file.
    """

    name: str
    index: int
    only: Request | None = None
    play: Callable[[dict[str, Any]], Script] | None = None
    scenario: int | None = None


def play_steps(steps: Sequence[Step], values: dict[str, Any]) -> Generator[Request | Pause, Answer, object]:
    """Take the steps in order; one that does not end as expected, or whose answer lacks a value, breaks it off."""
    for step in steps:
        answer = yield step.build(values)
        if not answer.ok:
            return BROKEN_OFF
        values |= answer.values
        if step.think_seconds:
            yield Pause(step.think_seconds)
    return None
