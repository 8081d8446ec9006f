"""One worker process: its share of a run, told to the parent each second."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import TYPE_CHECKING, Any

import uvloop

from perfloop_loadgen.app.build import Share, build_run
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.errors import LoadgenError
from perfloop_loadgen.samples.book import Book, Load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from perfloop_loadgen.runner.run import Run
    from perfloop_loadgen.samples.labels import Labels
    from perfloop_loadgen.samples.tally import Tally

# What is said over the pipe. Parent: (BEGIN, moment), (STOP, (reason, grace)). Worker: the others.
BEGIN, STOP = "begin", "stop"
READY, WINDOWS, DONE, TROUBLE = "ready", "windows", "done", "trouble"


class Courier(Book):
    """A book whose every entry is also sent to the parent."""

    def __init__(self, labels: Labels, pipe: Connection) -> None:
        super().__init__(labels)
        self._pipe = pipe

    def add(self, windows: Sequence[Tally], elapsed_seconds: float, span_seconds: float, load: Load) -> None:
        """Keep and send what was counted."""
        super().add(windows, elapsed_seconds, span_seconds, load)
        self._pipe.send((WINDOWS, (list(self.labels), [window.to_wire() for window in windows], load)))


def work(pipe: Connection, config: dict[str, Any], share: Share) -> None:
    """Be a worker until the run is over or the parent is gone."""
    # A Ctrl-C reaches the whole group: the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        uvloop.run(_work(pipe, LoadTestConfig.model_validate(config), share))
    except LoadgenError as error:
        pipe.send((TROUBLE, str(error)))
    except (BrokenPipeError, EOFError):
        pass  # the parent is gone, and with it everybody who would read the results


async def _work(pipe: Connection, config: LoadTestConfig, share: Share) -> None:
    run = build_run(config, share, lambda labels: Courier(labels, pipe))
    await run.make_ready()
    gc.freeze()  # as the session does
    pipe.send((READY, None))
    _, moment = await asyncio.to_thread(pipe.recv)
    asyncio.get_running_loop().add_reader(pipe.fileno(), _listen, pipe, run)
    await run.go(moment)
    pipe.send((DONE, (run.generator(), run.end_reason)))


def _listen(pipe: Connection, run: Run) -> None:
    try:
        _, (reason, grace) = pipe.recv()
    except (EOFError, OSError):
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        reason, grace = "the parent is gone", 0.0
    run.stop(reason, grace)
