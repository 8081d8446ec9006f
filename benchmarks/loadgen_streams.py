"""Five hundred concurrent streams: are time to first token and gaps those that the server itself stamped?

    python benchmarks/loadgen_streams.py [--streams 500] [--seconds 15]

The server stamps every event it sends and every request it reads, and writes its own percentiles when it ends.
Bar: the generator's p50 and p99 lie within 1 ms of the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import uvloop
from loadgen_rig import GENERATOR_CORE, SERVER_CORE, loadgen, on_core, wait_for, write_test

EVENTS, PAUSE = 20, 0.05
TOLERANCE_SECONDS = 0.001
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b'data: {"choices": [{"delta": {"content": "word "}}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": %d}}\n\ndata: [DONE]\n\n' % EVENTS


def framed(piece: bytes) -> bytes:
    """Return one chunk of the transfer coding."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


class Model(asyncio.Protocol):
    """Streams twenty events, fifty milliseconds apart on average, and stamps each."""

    first: ClassVar[list[float]] = []
    gaps: ClassVar[list[float]] = []

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport
        self._chance = random.Random(id(self))

    def data_received(self, data: bytes) -> None:
        """Start a stream."""
        if data.startswith(b"GET"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        self._left, self._stamp, self._fresh = EVENTS, time.monotonic(), True
        self._transport.write(HEAD)
        self._wait()

    def _wait(self) -> None:
        asyncio.get_running_loop().call_later(PAUSE * self._chance.uniform(0.5, 1.5), self._send)

    def _send(self) -> None:
        now = time.monotonic()
        self._transport.write(framed(CHUNK))
        (self.first if self._fresh else self.gaps).append(now - self._stamp)
        self._stamp, self._fresh = now, False
        self._left -= 1
        if self._left:
            self._wait()
        else:
            self._transport.write(framed(USAGE) + b"0\r\n\r\n")


async def serve(port: int, report: Path) -> None:
    """Serve until SIGTERM, then write the time stamps."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    server = await loop.create_server(Model, "127.0.0.1", port, backlog=4096)
    await over.wait()
    server.close()
    stamped = {"first_token": quantiles(Model.first), "gap": quantiles(Model.gaps)}
    report.write_text(json.dumps(stamped))  # noqa: ASYNC240 - nothing else is left to do


def quantiles(values: list[float]) -> dict[str, float]:
    """Return p50, p99 and the count."""
    ordered = sorted(values)
    return {
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
        "count": len(ordered),
    }


def main() -> int:
    """Run once and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=15)
    arguments = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        endpoint = "{path: /v1/chat/completions, llm: {model: m, max_tokens: 20}}"
        test = (
            f'{{base_url: "http://127.0.0.1:{port}", duration_seconds: {arguments.seconds}, ramp_up_seconds: 2, '
            f"concurrent_users: {arguments.streams}, endpoints: [{endpoint}]}}"
        )
        command = loadgen("run", write_test(directory, test), "--report.json", directory / "ours.json")
        server = subprocess.Popen(
            on_core(SERVER_CORE, [sys.executable, __file__, "serve", str(port), f"{directory}/theirs.json"])
        )
        wait_for(f"http://127.0.0.1:{port}/")
        subprocess.run(on_core(GENERATOR_CORE, command), stdout=subprocess.DEVNULL, check=False)
        server.terminate()
        server.wait()
        ours = json.loads((directory / "ours.json").read_bytes())["summary"]["endpoints"][0]["streams"]
        theirs = json.loads((directory / "theirs.json").read_text())
    return judge(ours, theirs)


def judge(ours: dict[str, Any], theirs: dict[str, Any]) -> int:
    """Print both sides."""
    print("| time | n here | n there | percentile | the server's stamps | measured | off |")
    print("|---|---:|---:|---|---:|---:|---:|")
    good = True
    for time_name in ("first_token", "gap"):
        here, there = ours[time_name], theirs[time_name]
        for percentile in ("p50", "p99"):
            got, want = here["quantiles_seconds"][percentile], there[percentile]
            good = good and abs(got - want) <= TOLERANCE_SECONDS
            values = f"{want * 1000:.3f} ms | {got * 1000:.3f} ms | {(got - want) * 1000:+.3f} ms"
            print(f"| {time_name} | {here['count']} | {there['count']} | {percentile} | {values} |")
    print("bar met" if good else "bar missed")
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(int(sys.argv[2]), Path(sys.argv[3])))
        sys.exit(0)
    sys.exit(main())
