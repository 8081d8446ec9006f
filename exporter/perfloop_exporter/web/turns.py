"""Turns at what takes long: as many at a time as there are, the rest wait in line instead of taking up threads."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A number of turns, and the tasks that wait for one."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[T] = deque()
        self._lock = threading.Lock()

    def take(self, task: T) -> bool:
        """Take a turn for a task; where none is free the task waits, and `give` will return it."""
        with self._lock:
            if not self._free:
                self._waiting.append(task)
                return False
            self._free -= 1
            return True

    def give(self) -> list[T]:
        """Give a turn back; return the task, if there is one, that may try again."""
        with self._lock:
            self._free += 1
            return [self._waiting.popleft()] if self._waiting else []
