"""The threads of the web server: one leads and waits for every connection, the others answer or wait to lead."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_exporter.web.connection import Connection
    from perfloop_exporter.web.messages import Request

    Task = tuple[Connection, Request]

# Threads at most: scrapes run one after the other, so that more would only wait. A container may have few.
MOST_THREADS = 8
# How long to wait after an unexpected failure of the leader, which may be there again at once.
RETRY_SECONDS = 0.05
# How long to wait for the threads at the end; what still hangs then ends with the process.
STOP_SECONDS = 1.0

log = logging.getLogger(__name__)


class Pool:
    """Runs `lead` on one thread at a time, and `work` on the others.

    Args:
        listeners: Listening sockets, which are watched, too.
        lead: Waits once (by `next_ready`), and returns a request to answer if there is one.
        work: Answers a request. Until it watches the connection again, nobody else touches it.
        most_threads: How many threads there are at most; they are started as they are needed.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        lead: Callable[[], Task | None],
        work: Callable[[Connection, Request], None],
        most_threads: int = MOST_THREADS,
    ) -> None:
        self.busy: dict[Connection, None] = {}  # with a request that is being answered or waits to be
        self._listeners = tuple(listeners)
        self._lead, self._work, self._most_threads = lead, work, most_threads
        self._leading = threading.Lock()
        self._registering = threading.Lock()
        self._queueing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._working: set[threading.Thread] = set()
        self._ready: deque[Task] = deque()
        self._selector = selectors.DefaultSelector()
        self._pending: deque[Connection | socket.socket] = deque()
        self._inbox, self._outbox = socket.socketpair()
        self._stopped = False
        self._refused = False
        # A call of select() does not see what is registered during it, of epoll and kqueue it does.
        self._sees_changes = type(self._selector).__name__ in {"EpollSelector", "KqueueSelector"}

    def start(self) -> None:
        """Watch the listeners and start the first threads.

        Raises:
            RuntimeError: Not one can be started.
        """
        self._outbox.setblocking(False)  # noqa: FBT003  # the one argument there is
        self._selector.register(self._inbox, selectors.EVENT_READ, None)
        for listener in self._listeners:
            listener.setblocking(False)  # noqa: FBT003  # the one argument there is
            self._selector.register(listener, selectors.EVENT_READ, listener)
        self._start_thread()
        self._try_thread()

    def stop_accepting(self) -> None:
        """Close the listeners; requests that have arrived are still answered."""
        with self._registering:
            for listener in self._listeners:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(listener)
                listener.close()
        self.wake()

    def stop(self) -> None:
        """End the threads; one that is answering a request ends after it."""
        self._stopped = True
        self.wake()
        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def release(self) -> None:
        """Give back what the waiting takes, if no thread waits any more."""
        if not any(thread.is_alive() for thread in self._threads):
            self._selector.close()
            self._inbox.close()
            self._outbox.close()

    def wake(self) -> None:
        """End the leader's waiting."""
        with contextlib.suppress(OSError):  # it has been woken already
            self._outbox.send(b"\0")

    # -- connections

    def watch(self, connection: Connection) -> None:
        """Wait for the connection's next event; it is not busy any more."""
        with self._registering:
            self.busy.pop(connection, None)
            events = connection.events
            if connection.watched == events or connection.socket.fileno() < 0:
                return
            if connection.watched:
                self._selector.modify(connection.socket, events, connection)
            else:
                self._selector.register(connection.socket, events, connection)
            connection.watched = events
        if not self._sees_changes:
            self.wake()

    def close(self, connection: Connection) -> None:
        """Close a connection; again changes nothing."""
        with self._registering:
            self._unwatch(connection)
            self.busy.pop(connection, None)
            connection.socket.close()

    def _unwatch(self, connection: Connection) -> None:
        if connection.watched:
            self._selector.unregister(connection.socket)
            connection.watched = 0

    def next_ready(self, timeout: float | None) -> Connection | socket.socket | None:
        """Return a connection or listener that something can be done with, or None after `timeout` seconds."""
        if not self._pending:
            self._pending.extend(key.data for key, _ in self._selector.select(timeout))
        while self._pending:
            found = self._pending.popleft()
            if found is None:  # somebody has woken the leader
                self._inbox.recv(4096)
                return None
            if isinstance(found, socket.socket):
                return found
            with self._registering:
                if found in self.busy:  # the client goes on sending, or has gone, before it has the response
                    self._unwatch(found)
                elif found.socket.fileno() >= 0:
                    return found
        return None

    def later(self, connection: Connection, request: Request) -> None:
        """Answer a request as soon as there is a thread for it."""
        self.busy[connection] = None
        with self._queueing:
            self._ready.append((connection, request))

    def take_all(self, is_wanted: Callable[[Request], bool]) -> list[Task]:
        """Return the requests among those that wait for a thread that are wanted; they do not wait any more."""
        if not self._ready:
            return []
        with self._queueing:
            found = [task for task in self._ready if is_wanted(task[1])]
            if found:
                self._ready = deque(task for task in self._ready if not is_wanted(task[1]))
            return found

    # -- threads

    def _run(self) -> None:
        thread = threading.current_thread()
        while not self._stopped:
            with self._leading:
                task = self._next_task()
                if task is not None:
                    self._working.add(thread)
            while task is not None:
                self._work(*task)
                # In this order: whoever adds a request after the look at `_ready` sees that this thread is free.
                self._working.discard(thread)
                task = self._take_ready()
                if task is not None:
                    self._working.add(thread)

    def _next_task(self) -> Task | None:
        """Lead until there is a request and a thread that leads meanwhile."""
        while not self._stopped:
            try:
                task = self._take_ready() if self._ready and self._has_thread() else None
                if task is not None:
                    return task
                # Also while requests wait for a thread: connections are still accepted and deadlines kept.
                found = self._lead()
                if found is not None:
                    self.later(*found)
            except Exception:  # the edge of the server: nothing ends the accepting
                log.exception("serving failed, going on")
                time.sleep(RETRY_SECONDS)
        return None

    def _take_ready(self) -> Task | None:
        with self._queueing:
            return self._ready.popleft() if self._ready and not self._stopped else None

    def _has_thread(self) -> bool:
        """Return whether another thread would lead, if this one answered a request."""
        if len(self._working) + 1 >= len(self._threads) < self._most_threads:
            self._try_thread()
        # Where there is but one thread, it does both in turns.
        return len(self._working) < max(1, len(self._threads) - 1)

    def _try_thread(self) -> None:
        try:
            self._start_thread()
        except RuntimeError as error:  # the limit of the machine or of the container
            if not self._refused:
                self._refused = True
                log.warning("cannot start a thread, going on with fewer", extra={"err": str(error)})

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="serve", daemon=True)
        thread.start()
        self._threads.append(thread)
