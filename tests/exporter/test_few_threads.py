"""An exporter with few descriptors, few threads, or a collector that hangs while no thread can be started."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, NoReturn

import pytest

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.scrape import CollectorSlot, Scraper
from tests.support.slow_clients import KINDS, SlowClients, allow_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop_exporter.collectors.families import Reading

# Starts the exporter in a process that can have no more threads than the first argument says.
FEW_THREADS = """
import sys, threading
most, start = int(sys.argv.pop(1)), threading.Thread.start
def limited(thread):
    if threading.active_count() >= most:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = limited
from perfloop_exporter.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start an exporter on a free port."""
    with log.open("w") as sink:
        return subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=sink)


def address_of(log: Path) -> tuple[str, int]:
    """Return where it listens."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.search(r"address=127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return "127.0.0.1", int(found[1])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(params=["1024 descriptors", "100 descriptors", "4 threads"])
def short_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Return the address of an exporter that is short of something."""
    number, what = request.param.split()
    plain = [sys.executable, "-m", "perfloop_exporter"]
    command = ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh", *plain]
    if what == "threads":
        command = [sys.executable, "-c", FEW_THREADS, number]
    process = start(command, tmp_path / "log")
    try:
        yield address_of(tmp_path / "log")
    finally:
        process.kill()
        process.wait()


def is_good(address: tuple[str, int]) -> bool:
    """Return whether a scrape is complete."""
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return "node_load1 " in text and 'node_scrape_collector_success{collector="cpu"} 1' in text


def test_every_scrape_is_good_whatever_clients_do(short_of: tuple[str, int]):
    """Also with more slow clients of each kind than it can have connections."""
    if not allow_descriptors(1000):
        pytest.skip("the limit of descriptors is too low for so many clients")
    for kind in KINDS:
        with SlowClients(short_of, kind, 700):
            assert all(is_good(short_of) for _ in range(4)), kind


class Hanging:
    """A collector that hangs until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def collect(self) -> list[Reading]:
        """Hang."""
        self.release.wait(60)
        return [single(gauge("late", "Late."), 1)]


class Quick:
    """A collector that does not hang."""

    def collect(self) -> list[Reading]:
        """Return one sample."""
        return [single(gauge("quick", "Quick."), 1)]


def test_a_scrape_without_threads_ends(monkeypatch: pytest.MonkeyPatch):
    """What has no thread is left out, in time, and is there again once a thread can be started."""
    hanging = Hanging()
    scraper = Scraper([CollectorSlot("hanging", hanging, 0.2), CollectorSlot("quick", Quick(), 0.2)])
    scraper.prepare()

    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):  # the second finds its only thread hanging from the start
            begin = time.monotonic()
            text = scraper.scrape()
            assert time.monotonic() - begin < 10
            assert 'node_scrape_collector_success{collector="quick"} 0' in text
    assert "\nquick 1\n" in scraper.scrape()
    hanging.release.set()


def test_ipv6_only(tmp_path: Path):
    """It listens on ::1, and a request may name it so."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    log = tmp_path / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "perfloop_exporter", "--web.listen-address=[::1]:0"], stderr=sink
        )
    try:
        end = time.monotonic() + 60
        while not (found := re.search(r"address=\[::1\]:(\d+)", log.read_text())):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        with urllib.request.urlopen(f"http://[::1]:{found[1]}/metrics", timeout=30) as answer:
            assert b"node_load1 " in answer.read()
    finally:
        process.kill()
        process.wait()
