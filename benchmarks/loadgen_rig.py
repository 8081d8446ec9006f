"""What the load generator's benchmarks share: nginx on one core, a generator on the other, and what it costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GENERATOR_CORE, SERVER_CORE = 0, 1
NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = / {{ return 200 "hello world, this is a small body\\n"; }}
    location = /status {{ stub_status; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process used, and how it ended."""

    cpu_seconds: float
    wall_seconds: float
    code: int
    output: str


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """Return the command bound to one core; on a machine of one core, as it is."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > core else list(command)


def run_measured(command: Sequence[str], core: int = GENERATOR_CORE) -> Cost:
    """Run a generator to its end and return what it cost, its children included."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(on_core(core, command), stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - began, process.returncode, text)


@contextmanager
def nginx(port: int = 18081) -> Iterator[str]:
    """Serve from Debian's nginx with one worker on the server's core."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        sys.exit("nginx is not installed (Debian: apt-get install nginx-light)")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        (directory / "nginx.conf").write_text(NGINX.format(directory=directory, port=port))
        command = on_core(SERVER_CORE, [program, "-c", f"{directory}/nginx.conf", "-e", f"{directory}/error.log"])
        with subprocess.Popen(command) as process:
            try:
                wait_for(f"http://127.0.0.1:{port}/status")
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def wait_for(url: str) -> None:
    """Wait until an address answers."""
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"{url} does not answer")


def nginx_requests(url: str) -> int:
    """Return nginx's own count of requests, this question included."""
    with urllib.request.urlopen(f"{url}/status", timeout=5) as answer:
        return int(answer.read().decode().splitlines()[2].split()[2])


def write_test(directory: Path, test: str) -> Path:
    """Write a file of one load test."""
    path = directory / "test.yml"
    path.write_text(f"load_tests:\n  bench: {test}\n")
    return path


def loadgen(*arguments: object) -> list[str]:
    """Return the command line of our generator.

    Its runs are not stored: that costs 0.3 s of CPU and 30 MB once, after the load (docs/loadgen.md), and this
    checkout's own history is not that of a benchmark.
    """
    return [sys.executable, "-m", "perfloop_loadgen", *map(str, arguments), "--store.url=none"]
