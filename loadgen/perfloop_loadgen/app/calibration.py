"""What this machine can generate, and how far its clockwork is off: measured by `calibrate`, kept for every report.

Both are measured against a server that does nothing, in a process of its own, as fast as Python can.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import uvloop
from pydantic import TypeAdapter, ValidationError

from perfloop_base.errors import StartError
from perfloop_base.home import find_home, make_private
from perfloop_base.state import set_aside
from perfloop_loadgen.app.build import build_run
from perfloop_loadgen.app.parenthood import die_with_parent
from perfloop_loadgen.config import EndpointConfig, LoadTestConfig
from perfloop_loadgen.config.load import ConstantRateConfig
from perfloop_loadgen.summary.document import Calibration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

log = logging.getLogger(__name__)

CEILING_USERS = 32
TIMING_RATE = 1000.0
_ADAPTER: TypeAdapter[Calibration] = TypeAdapter(Calibration)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


async def calibrate(seconds: float) -> Calibration:
    """Measure the ceiling with a closed load and the timing with an open one, for so many seconds each."""
    with _nothing_server() as url:
        base = LoadTestConfig(
            name="calibration", base_url=url, duration_seconds=seconds, endpoints=[EndpointConfig(path="/")]
        )
        ceiling = build_run(base.model_copy(update={"concurrent_users": CEILING_USERS}))
        await ceiling.go()
        rate = ConstantRateConfig(shape="constant_rate", rate=TIMING_RATE)
        timing = build_run(base.model_copy(update={"load": rate}))
        await timing.go()
    cpu_seconds = ceiling.generator().cpu_ratio * ceiling.elapsed_seconds
    tally = timing.book.total()
    lag = tally.lag.quantiles_seconds([0.5, 0.99])
    response = tally.response.quantiles_seconds([0.5, 0.99])
    return Calibration(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        requests_per_cpu_second=ceiling.book.total().requests / cpu_seconds,
        start_lag_p50_seconds=lag[0] or 0.0,
        start_lag_p99_seconds=lag[1] or 0.0,
        response_p50_seconds=response[0] or 0.0,
        response_p99_seconds=response[1] or 0.0,
    )


def calibration_path() -> Path:
    """Return where the calibration is kept."""
    return find_home() / "loadgen-calibration.json"


def read_calibration() -> Calibration | None:
    """Return what was measured, or None on a machine that was never calibrated; a corrupt file is moved aside."""
    path = calibration_path()
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError:
        return None
    except (ValidationError, RecursionError):
        with suppress(OSError):
            moved = set_aside(path, datetime.now(UTC))
            log.warning("%s is corrupt and was moved aside to %s: calibrate once more", path, moved.name)
        return None


def write_calibration(calibration: Calibration) -> None:
    """Keep what was measured; a full disk or a kill leaves the file of before."""
    path = calibration_path()
    make_private(path.parent)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(_ADAPTER.dump_json(calibration, indent=2))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _nothing_server() -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_nothing, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield f"http://127.0.0.1:{_port_of(ours)}"
    finally:
        # The server ends with the pipe.
        ours.close()
        process.join(2)
        if process.is_alive():
            process.kill()


def _port_of(pipe: Connection) -> int:
    try:
        return int(pipe.recv())
    except (EOFError, OSError) as error:
        raise StartError("the server of the calibration did not start") from error


class _Nothing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        # The generator does not pipeline and its requests are small: what comes is one request.
        del data
        self._transport.write(_ANSWER)


def serve_nothing(pipe: Connection) -> None:
    """Serve on a free port, which is sent through the pipe, until the pipe closes."""
    die_with_parent()
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Nothing, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    closed = asyncio.Event()
    loop.add_reader(pipe.fileno(), closed.set)
    await closed.wait()
