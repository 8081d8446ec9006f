"""A server that stops for 1.4 s once in 30 s: do the percentiles show it?

    python benchmarks/loadgen_stall.py

The server answers after 20 ms; its process is stopped by SIGSTOP for 1.4 s. What each request must have
taken follows from the schedule, the 20 ms and the two moments alone. Bar: p50, p99 and p99.9 within 3 % of that.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop
from loadgen_rig import GENERATOR_CORE, SERVER_CORE, loadgen, on_core, wait_for, write_test

RATE, SECONDS, DELAY, STALL_AT, STALL = 1000, 30, 0.02, 10.0, 1.4
TOLERANCE = 0.03
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Slow(asyncio.Protocol):
    """Answers each request 20 ms after it came."""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        """Answer later."""
        asyncio.get_running_loop().call_later(DELAY, self._transport.write, ANSWER)


async def serve(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def expected(stopped: float, resumed: float) -> list[float]:
    """Return the sorted response times that the schedule, the delay and the stop demand."""
    times = []
    for number in range(RATE * SECONDS):
        due = number / RATE
        if due + DELAY <= stopped or due >= resumed:
            times.append(DELAY)
        elif due < stopped:
            times.append(resumed - due)
        else:
            times.append(resumed - due + DELAY)
    return sorted(times)


def quantile(ordered: list[float], share: float) -> float:
    """Return the value of that rank."""
    return ordered[max(1, -int(-share * len(ordered) // 1)) - 1]


def stop_and_go(pid: int, moments: list[float]) -> None:
    """Stop the server once, and write down when."""
    time.sleep(STALL_AT)
    os.kill(pid, signal.SIGSTOP)
    moments.append(time.time())
    time.sleep(STALL)
    os.kill(pid, signal.SIGCONT)
    moments.append(time.time())


def main() -> int:
    """Run once and compare."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        load = f"{{shape: constant_rate, rate: {RATE}, max_in_flight: 2000}}"
        test = f'{{base_url: "{url}", duration_seconds: {SECONDS}, load: {load}, endpoints: [{{path: /}}]}}'
        command = loadgen("run", write_test(Path(name), test), "--report.json", report)
        server = subprocess.Popen(on_core(SERVER_CORE, [sys.executable, __file__, "serve", str(port)]))
        try:
            wait_for(url)
            generator = subprocess.Popen(on_core(GENERATOR_CORE, command), stdout=subprocess.DEVNULL)
            threading.Thread(target=stop_and_go, args=(server.pid, moments)).start()
            generator.wait()
        finally:
            server.kill()
            server.wait()
        document = json.loads(report.read_bytes())
    return judge(document, moments)


def judge(document: dict[str, Any], moments: list[float]) -> int:
    """Print measured beside computed."""
    began = datetime.fromisoformat(document["started_at"]).timestamp()
    ordered = expected(moments[0] - began, moments[1] - began)
    total = document["summary"]["total"]
    measured, hidden = total["response"]["quantiles_seconds"], total["service"]["quantiles_seconds"]
    print("| percentile | computed | measured from the intended start | off | from the actual start |")
    print("|---|---:|---:|---:|---:|")
    worst = 0.0
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        want, got = quantile(ordered, share), measured[name]
        worst = max(worst, abs(got / want - 1))
        cells = (name, f"{want * 1000:.1f} ms", f"{got * 1000:.1f} ms", f"{got / want - 1:+.2%}")
        print(f"| {' | '.join(cells)} | {hidden[name] * 1000:.1f} ms |")
    kept = worst <= TOLERANCE and total["total_requests"] == RATE * SECONDS
    print("bar met" if kept else "bar missed")
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(int(sys.argv[2])))
        sys.exit(0)
    sys.exit(main())
