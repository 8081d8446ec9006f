"""A Dask scheduler and workers as processes of their own, as people start them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass
class DaskCluster:
    """What runs: the scheduler's address, and every process with the file of its log."""

    address: str
    directory: Path
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def logs(self) -> str:
        """Everything that Dask has logged."""
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))

    def senders(self) -> list[psutil.Process]:
        """The processes that send load, of all workers."""
        return [child for worker in self.workers for child in psutil.Process(worker.pid).children()]

    def start_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one more worker, and wait until it has registered."""
        number = len(self.workers)
        place = self.directory / f"worker-{number}"
        command = ["dask_worker", self.address, "--no-nanny", "--nthreads=1", "--no-dashboard", "--host=127.0.0.1"]
        worker = _start([*command, f"--local-directory={place}", *arguments], self.directory / f"worker-{number}.log")
        self.workers.append(worker)
        log = self.directory / f"worker-{number}.log"
        wait_for(lambda: "Registered to" in log.read_text() or worker.poll() is not None, "a Dask worker")
        return worker


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    module, *arguments = command
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )


@contextmanager
def dask_cluster(directory: Path, workers: int, *arguments: str) -> Iterator[DaskCluster]:
    """Run a scheduler and so many workers on loopback; `arguments` are for both."""
    directory.mkdir(parents=True, exist_ok=True)
    place = directory / "scheduler.json"
    command = ["dask_scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard", f"--scheduler-file={place}"]
    scheduler = _start([*command, *arguments], directory / "scheduler.log")
    cluster = DaskCluster("", directory, scheduler)
    try:
        wait_for(lambda: place.exists() or scheduler.poll() is not None, "a Dask scheduler")
        cluster.address = json.loads(place.read_text())["address"]
        for _ in range(workers):
            cluster.start_worker(*arguments)
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            process.kill()
            process.wait()
