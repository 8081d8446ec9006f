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
from perfloop_loadgen.scenario.checks import MISSING, find

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from perfloop_loadgen.scenario.request import Request


class Pause(NamedTuple):
    """A pause between two requests."""

    seconds: float


class Answer(NamedTuple):
    """The result of a request, as a journey gets it."""

    outcome: str
    status: int
    head: bytes
    body: bytes

    @property
    def ok(self) -> bool:
        """Return whether it ended as expected."""
        return self.outcome == OK

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
    """One request of a journey; `build` fills its placeholders, `extract` maps names to sources."""

    build: Callable[[Mapping[str, Any]], Request]
    extract: Mapping[str, str]
    think_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Journey:
    """One ready request (`only`), or a script to run (`play`); `index` is the row of its first request."""

    name: str
    index: int
    only: Request | None = None
    play: Callable[[dict[str, Any]], Script] | None = None


def play_steps(steps: Sequence[Step], values: dict[str, Any]) -> Generator[Request | Pause, Answer, None]:
    """Take the steps in order; a step that fails, or whose answer lacks a value to extract, ends the journey."""
    for step in steps:
        answer = yield step.build(values)
        if not answer.ok:
            return
        for name, source in step.extract.items():
            value = find(source, answer.head, answer.body)
            if value is MISSING:
                return
            values[name] = value
        if step.think_seconds:
            yield Pause(step.think_seconds)
