"""A worker process of a fleet: what runs in it.

Messages go over a pipe as (kind, content):

    owner -> worker    BEGIN moment | TAKE (share, second of the load) | STOP (reason, grace seconds) | BEAT
    worker -> owner    READY | BEGUN nanoseconds late | WINDOWS what was counted
                       LOG (logger, level, message) | DONE (generator, end reason) | ERROR sentence

The owner is the process that started it: the fleet's own on the same machine, or a worker of a Dask cluster, which
passes the messages on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from perfloop_base.errors import PerfloopError
from perfloop_loadgen.app.build import CLOCK, Part, build_run
from perfloop_loadgen.app.parenthood import die_with_parent
from perfloop_loadgen.app.reaching import check_service
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.secrets import register_secrets, shown
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.histogram import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_loadgen.runner.run import Run
    from perfloop_loadgen.samples.labels import Labels
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.shares import Share

BEGIN, TAKE, STOP, BEAT = "begin", "take", "stop", "beat"
READY, BEGUN, WINDOWS, LOG, DONE, ERROR = "ready", "begun", "windows", "log", "done", "error"
_LOOK_SECONDS = 0.25
# What the owner's own thread reports once nothing more can be read.
LOST = "lost"


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do.

    Attributes:
        config: the test, as plain values.
        share: which of its arrivals and users.
        environment: the variables that fill the test's requests, where the owner has others than the test's machine.
        directory: where relative names of files begin; empty: where the owner runs.
        checks_service: whether to connect to the service once before being ready.
        lease_seconds: how long to go on without a BEAT; 0: the kernel says when the owner has ended.
    """

    config: dict[str, Any]
    share: Share
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: str = ""
    checks_service: bool = False
    lease_seconds: float = 0.0

    def __repr__(self) -> str:
        # The configuration may hold secrets, and whoever writes a message about a job writes its form.
        return f"<share {self.share} of a load>"


class Counted(NamedTuple):
    """What a worker counted of one share over about a second.

    Attributes:
        share: which of its shares.
        labels: the endpoints so far; the first of them have a tally each.
        windows: the tallies, as plain values.
        elapsed_seconds: the second of the load up to which it was counted.
        load: the load at that moment.
    """

    share: Share
    labels: list[str]
    windows: list[dict[str, Any]]
    elapsed_seconds: float
    load: Load


class _SendingBook(Book):
    """The book of a worker: every entry is also sent to the owner."""

    def __init__(self, labels: Labels, pipe: Connection, share: Share) -> None:
        super().__init__(labels)
        self._pipe = pipe
        self._share = share

    def add(self, windows: Sequence[Tally], elapsed_seconds: float, span_seconds: float, load: Load) -> None:
        """Keep and send what was counted."""
        super().add(windows, elapsed_seconds, span_seconds, load)
        counted = [window.to_wire() for window in windows]
        self._pipe.send((WINDOWS, Counted(self._share, list(self.labels), counted, elapsed_seconds, load)))


class _SendingHandler(logging.Handler):
    """The log of a worker: the fleet's process writes it, in its own format."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to the owner."""
        with contextlib.suppress(OSError):  # the owner has ended
            self._pipe.send((LOG, (record.name, record.levelno, record.getMessage())))


def work(pipe: Connection, job: Job, owner: int | None = None) -> None:
    """Be a worker process until the run is over or the owner has ended.

    Args:
        pipe: to the owner.
        job: what to do.
        owner: the owner's process; None: the one that multiprocessing knows.
    """
    die_with_parent(owner)
    # They may reach the whole group, as Ctrl-C does: the fleet alone decides what they mean.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().handlers[:] = [_SendingHandler(pipe)]
    os.environ.update(job.environment)
    if job.directory:
        os.chdir(job.directory)
    register_secrets(job.config)
    try:
        uvloop.run(_Shift(pipe, LoadTestConfig.model_validate(job.config), job).work())
    except (BrokenPipeError, ConnectionResetError, EOFError):
        pass  # the owner has ended, and with it everything that would read the results
    except PerfloopError as error:
        _report(pipe, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has a reason for its end then
        _report(pipe, shown(f"{type(error).__name__}: {error}"))


def work_as_program() -> None:
    """Be a worker process that was started as a program: its arguments are the pipe's descriptor and its owner."""
    descriptor, owner = map(int, sys.argv[1:])
    pipe: Connection = Connection(descriptor)
    try:
        job = pipe.recv()
    except (EOFError, OSError):
        return  # the owner has ended
    work(pipe, job, owner)


def _report(pipe: Connection, sentence: str) -> None:
    with contextlib.suppress(OSError):  # the owner has ended
        pipe.send((ERROR, sentence))


class _Shift:
    """The runs of one worker: its own share of the load, and those that it takes over from workers that were lost."""

    def __init__(self, pipe: Connection, config: LoadTestConfig, job: Job) -> None:
        self._pipe = pipe
        self._config = config
        self._job = job
        self._began = self._beat = 0
        self._lease: asyncio.Task[None] | None = None
        self._stopped: tuple[str, float] | None = None
        self._runs: list[Run] = []
        self._taken: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Send the share, and whatever is taken over, to the end."""
        run = self._build(Part(self._job.share))
        await run.make_ready()
        if self._job.checks_service:
            await check_service(self._config)
        gc.freeze()  # as the session does
        self._pipe.send((READY, None))
        kind, moment = await asyncio.to_thread(self._wait_for_order)
        if kind != BEGIN:
            return  # stopped before it began
        self._began = moment
        self._beat = CLOCK()
        late = CLOCK() - moment
        self._pipe.send((BEGUN, max(0, late)))
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._obey)
        if self._job.lease_seconds:
            self._lease = asyncio.get_running_loop().create_task(self._stop_when_left())
        await run.go(moment)
        while self._taken:
            await asyncio.gather(*self._taken)
        self._pipe.send((DONE, (run.generator(), run.end_reason)))

    def _wait_for_order(self) -> tuple[str, Any]:
        while True:
            order: tuple[str, Any] = self._pipe.recv()
            if order[0] != BEAT:
                return order

    async def _stop_when_left(self) -> None:
        """Send nothing more once nobody is heard: whoever would read the results has ended, or cannot be reached."""
        limit = round(self._job.lease_seconds * SECOND)
        while CLOCK() - self._beat < limit:  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(_LOOK_SECONDS)
        self._stop("the machine that runs the test was not heard any more", 0.0)

    def _stop(self, reason: str, grace_seconds: float) -> None:
        self._stopped = (reason, grace_seconds)
        for run in self._runs:
            run.stop(reason, grace_seconds)

    def _build(self, part: Part) -> Run:
        run = build_run(self._config, part, lambda labels: _SendingBook(labels, self._pipe, part.share))
        self._runs.append(run)
        return run

    async def _take_over(self, share: Share, from_seconds: float) -> None:
        # Not on the loop that sends: a long schedule takes a while to be passed over.
        run = await asyncio.to_thread(self._build, Part(share, from_seconds))
        if self._stopped is not None:
            run.stop(*self._stopped)
        await run.make_ready()
        await run.go(self._began, self._began + round(from_seconds * SECOND))

    def _obey(self) -> None:
        try:
            kind, content = self._pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            kind, content = STOP, ("the process that started it has ended", 0.0)
        if kind == BEAT:
            self._beat = CLOCK()
        elif kind == TAKE:
            task = asyncio.get_running_loop().create_task(self._take_over(*content))
            self._taken.add(task)
            task.add_done_callback(self._taken.discard)
        else:
            self._stop(*content)
