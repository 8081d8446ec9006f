"""The workers of a fleet: how they come to be, and the line by which each is held.

A crew of processes is here; one of the workers of a Dask cluster is in `dask_crew`.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_loadgen.app.build import CLOCK
from perfloop_loadgen.app.worker import LOST, Job, work
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.shares import parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.shares import Share

# Called on the event loop with the number of a worker, from 0, and what it says.
Receive = Callable[[int, str, Any], None]
# How long workers may take to end once their pipe is closed.
_END_SECONDS = 2.0
_STEP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Load:
    """The load that a crew is hired for.

    Attributes:
        test: the test, as it was read: what has to travel is looked up in it.
        config: the same as plain values, for the workers.
        share: the part of the whole load that the crew has.
    """

    test: LoadTestConfig
    config: Mapping[str, Any] = field(repr=False)
    share: Share

    def jobs(self, count: int) -> list[Job]:
        """Return what each of so many workers is to do."""
        return [Job(dict(self.config), part) for part in parts_of(self.share, count)]


class Line(Protocol):
    """The line to one worker.

    Attributes:
        name: what people call the worker: its address; empty of a process of this machine.
        host: its machine; empty: this one.
        clock_ahead: how far its monotonic clock is ahead of this machine's, in nanoseconds.
        clock_error: how far that may be off; None: it is this machine's own clock.
    """

    name: str
    host: str
    clock_ahead: int
    clock_error: int | None

    def send(self, kind: str, content: Any) -> None:
        """Say something to the worker.

        Raises:
            OSError: it has ended.
        """

    def end(self) -> None:
        """End what it sends, whatever it is doing."""


class Crew(Protocol):
    """Hires workers for one run, and dismisses them.

    Attributes:
        lead_nanoseconds: time that the common moment takes to reach every worker.
        lease_nanoseconds: how long a worker that hears nothing may go on sending.
    """

    lead_nanoseconds: int
    lease_nanoseconds: int

    async def hire(self, load: Load, receive: Receive, faults: list[str]) -> list[Line]:
        """Return the line to each worker; a worker that could not be started is a fault, one sentence.

        Raises:
            ConfigError: the workers cannot be given this test.
            TargetError: no worker can be reached.
        """

    async def dismiss(self) -> None:
        """End every worker."""


class PipeReader:
    """Reads what a worker says in a thread of its own: a message that stops half way would stop an event loop.

    Args:
        pipe: to the worker; it is closed by `close`.
        receive: called in that thread.
    """

    def __init__(self, pipe: Connection, receive: Callable[[str, Any], None]) -> None:
        self._pipe = pipe
        self._receive = receive
        self._thread = threading.Thread(target=self._read, name="worker-messages", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        kind = ""
        while kind != LOST:
            try:
                kind, content = self._pipe.recv()
            except Exception:  # noqa: BLE001 - a process that was killed may leave half a message, which may read as anything
                kind, content = LOST, None
            # The loop may have ended without waiting for this thread.
            with contextlib.suppress(RuntimeError):
                self._receive(kind, content)

    def hang_up(self) -> None:
        """End the conversation on both sides, whatever either is doing."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._pipe.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back what is held after the process has ended."""
        self._thread.join(1)
        self._pipe.close()


class _ProcessLine:
    """The line to a process of this machine."""

    name = host = ""
    clock_ahead = 0
    clock_error: int | None = None

    def __init__(self, job: Job, receive: Callable[[str, Any], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        with theirs:
            self.process = context.Process(target=work, args=(theirs, job), daemon=True)
            try:
                self.process.start()
            except OSError:
                self._pipe.close()
                raise
        self.reader = PipeReader(self._pipe, receive)

    def send(self, kind: str, content: Any) -> None:
        """Say something to the worker."""
        self._pipe.send((kind, content))

    def end(self) -> None:
        """End the process; SIGKILL ends a frozen one too, which no other signal does."""
        self.process.kill()

    def close(self) -> None:
        """Give back what a process that has ended still holds."""
        self.reader.close()
        with contextlib.suppress(ValueError):  # it did not end, even killed: the kernel holds it
            self.process.close()


class ProcessCrew:
    """Processes of this machine, as many as the test asks for."""

    lead_nanoseconds = SECOND // 20
    lease_nanoseconds = 0

    def __init__(self) -> None:
        self._lines: list[_ProcessLine] = []

    async def hire(self, load: Load, receive: Receive, faults: list[str]) -> list[Line]:
        """Start the processes."""
        loop = asyncio.get_running_loop()
        count = load.test.workers
        for number, job in enumerate(load.jobs(count)):

            def pass_on(kind: str, content: Any, number: int = number) -> None:
                loop.call_soon_threadsafe(receive, number, kind, content)

            try:
                self._lines.append(_ProcessLine(job, pass_on))
            except OSError as error:
                faults.append(f"worker {number + 1} of {count} could not be started: {error.strerror or error}")
                break
        return list(self._lines)

    async def dismiss(self) -> None:
        """End every process, in a few seconds at most."""
        for line in self._lines:
            line.reader.hang_up()
        until = CLOCK() + round(_END_SECONDS * SECOND)
        while CLOCK() < until and any(line.process.is_alive() for line in self._lines):  # noqa: ASYNC110 - a process is no event
            await asyncio.sleep(_STEP_SECONDS)
        for line in self._lines:
            line.end()
            await asyncio.to_thread(line.process.join, _END_SECONDS)
            line.close()
