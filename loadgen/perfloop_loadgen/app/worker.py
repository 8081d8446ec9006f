"""A worker process of a fleet: what runs in it, and the handle by which the parent holds it.

Messages go over a pipe as (kind, content):

    parent -> worker   BEGIN moment | STOP (reason, grace seconds)
    worker -> parent   READY | WINDOWS (labels, tallies, load) | LOG (logger, level, message)
                       DONE (generator, end reason) | ERROR sentence
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvloop

from perfloop_base.errors import PerfloopError
from perfloop_loadgen.app.build import Share, build_run
from perfloop_loadgen.app.parenthood import die_with_parent
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.secrets import register_secrets, shown
from perfloop_loadgen.samples.book import Book, Load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext

    from perfloop_loadgen.runner.run import Run
    from perfloop_loadgen.samples.labels import Labels
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.summary.verdict import Generator

BEGIN, STOP = "begin", "stop"
READY, WINDOWS, LOG, DONE, ERROR = "ready", "windows", "log", "done", "error"
# What the parent's own thread reports once nothing more can be read.
LOST = "lost"


class WorkerHandle:
    """One worker as the parent knows it.

    Args:
        context: how processes are started.
        config: the test, as plain values.
        share: which worker it is, of how many.
        receive: called with each message, in a thread of the handle's own.

    Raises:
        OSError: the process could not be started.
    """

    def __init__(
        self,
        context: SpawnContext,
        config: dict[str, Any],
        share: Share,
        receive: Callable[[WorkerHandle, str, Any], None],
    ) -> None:
        self.ready = self.over = False
        # When a message last came, in nanoseconds of the run's clock.
        self.heard = 0
        self.load = Load()
        self.generator: Generator | None = None
        self._receive = receive
        self.pipe, theirs = context.Pipe()
        with theirs:
            self.process = context.Process(target=work, args=(theirs, config, share), daemon=True)
            try:
                self.process.start()
            except OSError:
                self.pipe.close()
                raise
        self._thread = threading.Thread(target=self._read, name="worker-messages", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        kind = ""
        while kind != LOST:
            try:
                kind, content = self.pipe.recv()
            except Exception:  # noqa: BLE001 - a process that was killed may leave half a message, which may read as anything
                kind, content = LOST, None
            # The loop may have ended without waiting for this thread.
            with contextlib.suppress(RuntimeError):
                self._receive(self, kind, content)

    def hang_up(self) -> None:
        """End the conversation on both sides, whatever either is doing."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.pipe.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back what a process that has ended still holds."""
        self._thread.join(1)
        self.pipe.close()
        with contextlib.suppress(ValueError):  # it did not end, even killed: the kernel holds it
            self.process.close()


class _SendingBook(Book):
    """The book of a worker: every entry is also sent to the parent."""

    def __init__(self, labels: Labels, pipe: Connection) -> None:
        super().__init__(labels)
        self._pipe = pipe

    def add(self, windows: Sequence[Tally], elapsed_seconds: float, span_seconds: float, load: Load) -> None:
        """Keep and send what was counted."""
        super().add(windows, elapsed_seconds, span_seconds, load)
        self._pipe.send((WINDOWS, (list(self.labels), [window.to_wire() for window in windows], load)))


class _SendingHandler(logging.Handler):
    """The log of a worker: the parent writes it, in its own format."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to the parent."""
        with contextlib.suppress(OSError):  # the parent has ended
            self._pipe.send((LOG, (record.name, record.levelno, record.getMessage())))


def work(pipe: Connection, config: dict[str, Any], share: Share) -> None:
    """Be a worker process until the run is over or the parent has ended."""
    die_with_parent()
    # They may reach the whole group, as Ctrl-C does: the parent alone decides what they mean.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().handlers[:] = [_SendingHandler(pipe)]
    register_secrets(config)
    try:
        uvloop.run(_work(pipe, LoadTestConfig.model_validate(config), share))
    except (BrokenPipeError, ConnectionResetError, EOFError):
        pass  # the parent has ended, and with it everything that would read the results
    except PerfloopError as error:
        _report(pipe, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has a reason for its end then
        _report(pipe, shown(f"{type(error).__name__}: {error}"))


def _report(pipe: Connection, sentence: str) -> None:
    with contextlib.suppress(OSError):  # the parent has ended
        pipe.send((ERROR, sentence))


async def _work(pipe: Connection, config: LoadTestConfig, share: Share) -> None:
    run = build_run(config, share, lambda labels: _SendingBook(labels, pipe))
    await run.make_ready()
    gc.freeze()  # as the session does
    pipe.send((READY, None))
    kind, moment = await asyncio.to_thread(pipe.recv)
    if kind != BEGIN:
        return  # stopped before it began
    asyncio.get_running_loop().add_reader(pipe.fileno(), _obey, pipe, run)
    await run.go(moment)
    pipe.send((DONE, (run.generator(), run.end_reason)))


def _obey(pipe: Connection, run: Run) -> None:
    try:
        _, (reason, grace) = pipe.recv()
    except (EOFError, OSError):
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        reason, grace = "the parent process has ended", 0.0
    run.stop(reason, grace)
