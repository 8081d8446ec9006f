"""How long to wait before a component is started once more: twice as long each time, at most a minute. Pure."""

from __future__ import annotations

from perfloop.stack.guardian.resurrection import find_pause


class Pauses:
    """The pauses that components are in, in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._attempts: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def is_over(self, name: str, now: float) -> bool:
        """Return whether a component may be started now."""
        return now >= self._until.get(name, now)

    def begin(self, name: str, now: float) -> float:
        """Begin the next pause of a component, which is being started, and return its length."""
        self._attempts[name] = self._attempts.get(name, 0) + 1
        pause = find_pause(self._attempts[name])
        self._until[name] = now + pause
        return pause

    def forget(self, name: str) -> None:
        """Begin with the shortest pause again: the component has come to stay."""
        self._attempts.pop(name, None)
        self._until.pop(name, None)
