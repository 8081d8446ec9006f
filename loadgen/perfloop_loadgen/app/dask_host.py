"""What runs in a worker of a Dask cluster: the owner of a process that sends one share of a load.

The load has a process of its own: in the worker's, Dask's threads would share its interpreter, and the delays of one
would be measured as the other's. It goes on only as long as the machine that runs the test is heard (`LEASE_SECONDS`).
Nothing here is a task with arguments: those are kept by the scheduler and shown on its dashboard.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed import get_worker

from perfloop_loadgen.app.crew import PipeReader
from perfloop_loadgen.app.worker import BEAT, LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from perfloop_loadgen.app.worker import Job

# A worker that has not heard the machine that runs the test for so long ends its load.
LEASE_SECONDS = 4.0
# How long an exchange waits for something to say: an order is obeyed so late at most.
_WAIT_SECONDS = 0.25
_PROGRAM = "from perfloop_loadgen.app.worker import work_as_program; work_as_program()"

# The hosts that hold a load, by the address of their worker: several workers may share a process.
_HOLDING: dict[str, LoadHost] = {}


class Place(NamedTuple):
    """A worker as it describes itself: its machine, which start of it, and the test whose load it has, if any."""

    host: str
    boot: str
    test: str


def boot_id() -> str:
    """Return what names this start of this machine: its processes share a monotonic clock. Empty if nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Sealed:
    """A job with its files and variables; whoever writes a message about a call writes the form of its arguments."""

    __slots__ = ("_content",)

    def __init__(self, job: Job, files: Mapping[str, bytes]) -> None:
        self._content = pickle.dumps((job, dict(files)))

    def open(self) -> tuple[Job, dict[str, bytes]]:
        """Return the job and its files."""
        job, files = pickle.loads(self._content)  # noqa: S301 - written by this class, sent by who may run code here
        return job, files

    def __repr__(self) -> str:
        return "<a share of a load>"


class LoadHost:
    """An actor: one for each run, on each worker that takes part in it."""

    def __init__(self) -> None:
        worker = get_worker()
        self._address: str = worker.address
        # Dask empties it, also after a worker that was killed.
        self._scratch: str = worker.local_directory
        self._test = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._reader: PipeReader | None = None
        self._directory: Path | None = None
        self._said: list[tuple[str, Any]] = []
        self._news = asyncio.Event()
        self._heard = time.monotonic()
        self._watch: asyncio.Task[None] | None = None

    async def clock(self) -> int:
        """Return the machine's monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    async def describe(self) -> Place:
        """Return where this is, and what it does."""
        holding = _HOLDING.get(self._address)
        return Place(platform.node(), boot_id(), "" if holding is None else holding._test)  # noqa: SLF001 - of this class

    async def prepare(self, test: str, sealed: Sealed) -> str:
        """Start the process of a share; it waits for the beginning. Return why that is not possible, or nothing.

        Args:
            test: the name of the test.
            sealed: the job.
        """
        if self._address in _HOLDING:
            return f"it sends the load of another test already ({_HOLDING[self._address]._test})"  # noqa: SLF001
        _HOLDING[self._address] = self
        self._test, self._heard = test, time.monotonic()
        try:
            job, files = sealed.open()
            self._directory = Path(tempfile.mkdtemp(prefix="perfloop-load-", dir=self._scratch))
            await asyncio.to_thread(_write, self._directory, files)
            await self._start(replace(job, directory=str(self._directory), lease_seconds=LEASE_SECONDS))
        except OSError as error:
            await self.close()
            return f"it cannot start a process: {error.strerror or error}"
        self._watch = asyncio.get_running_loop().create_task(self._close_when_left())
        return ""

    async def exchange(self, orders: Sequence[tuple[str, Any]]) -> bytes:
        """Pass orders on, and return what the process has said since last time, pickled.

        Dask would look into every mapping of histograms for something that it can send better itself.
        """
        self._heard = time.monotonic()
        self._pass_on([(BEAT, None), *orders])
        if not self._said:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _WAIT_SECONDS)
        said, self._said = self._said, []
        return pickle.dumps(said)

    async def close(self) -> None:
        """End the process, whatever it is doing, and leave nothing behind."""
        process, self._process = self._process, None
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        if _HOLDING.get(self._address) is self:
            del _HOLDING[self._address]

    async def _start(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            # In this thread, not in one that ends: the kernel kills the process when the thread that started it ends.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - this interpreter; it takes a millisecond
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._reader = PipeReader(self._pipe, partial(_pass, loop, self._hear))
        await asyncio.to_thread(self._pipe.send, job)

    def _hear(self, kind: str, content: Any) -> None:
        self._said.append((kind, content))
        self._news.set()

    def _pass_on(self, orders: Sequence[tuple[str, Any]]) -> None:
        if self._pipe is None or self._process is None:
            self._said.append((LOST, None))
            return
        with contextlib.suppress(OSError):  # it has ended, which its reader says
            for order in orders:
                self._pipe.send(order)

    async def _close_when_left(self) -> None:
        """Close once nobody asks any more: the machine that ran the test has ended, or cannot reach this one."""
        while time.monotonic() - self._heard < LEASE_SECONDS:  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(_WAIT_SECONDS)
        await self.close()


def _pass(loop: asyncio.AbstractEventLoop, hear: Callable[[str, Any], None], kind: str, content: Any) -> None:
    loop.call_soon_threadsafe(hear, kind, content)


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
