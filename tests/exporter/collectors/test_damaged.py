"""Damaged /proc, /sys and cgroup files: the collector that reads them may fail, and nothing else changes."""

from __future__ import annotations

import logging
import random
import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.errors import CollectorError
from perfloop_exporter.scrape import CollectorSlot, Job, Scraper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.exporter.collectors.conftest import Machine

ROUNDS = 12
JUDGED = re.compile(r'^node_scrape_collector_success\{collector="(.+)"\} (\d)$', re.MULTILINE)
OURS = re.compile(r"^(# \w+ )?node_scrape_collector_")


def cut(data: bytes, dice: random.Random) -> bytes:
    """The file ends early."""
    return data[: dice.randrange(len(data) + 1)]


def flip(data: bytes, dice: random.Random) -> bytes:
    """A few bytes are others."""
    noisy = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        if noisy:
            noisy[dice.randrange(len(noisy))] = dice.randrange(256)
    return bytes(noisy)


def replace_number(data: bytes, dice: random.Random) -> bytes:
    """A number is none, or far too large."""
    wrong = dice.choice([b"-1", b"nan", b"inf", b"1e999", b"9" * 40, b"0x", b"max", b"", b"\xff\xfe", b"1.5.2", b"-"])
    numbers = list(re.finditer(rb"\d+", data))
    if not numbers:
        return wrong
    chosen = dice.choice(numbers)
    return data[: chosen.start()] + wrong + data[chosen.end() :]


def swap_words(data: bytes, dice: random.Random) -> bytes:
    """The words stand in another order."""
    words = re.split(rb"(\s+)", data)
    dice.shuffle(words)
    return b"".join(words)


def repeat(data: bytes, dice: random.Random) -> bytes:
    """Lines are there several times."""
    lines = data.splitlines(keepends=True)
    return b"".join(line * dice.randint(0, 3) for line in lines)


def noise(_data: bytes, dice: random.Random) -> bytes:
    """The file holds anything at all."""
    return dice.randbytes(dice.choice([0, 1, 40, 5000]))


DAMAGES = (cut, flip, replace_number, swap_words, repeat, noise)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_costs_its_own_collector_and_nothing_else(
    damage: Callable[[bytes, random.Random], bytes], machines: list[Machine], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a file holds, only its collector's success may turn 0, and parsers read the rest."""
    caplog.set_level(logging.CRITICAL + 1, "exporter")
    dice = random.Random(f"{damage.__name__} 1")
    slots = {machine.name: CollectorSlot(machine.name, machine.collector(), 120.0) for machine in machines}
    whole = Scraper(slots.values()).scrape()
    assert {name for name, success in JUDGED.findall(whole) if success == "1"} == set(slots)
    for machine in machines:
        for path in machine.files():
            before = path.read_bytes()
            for _ in range(max(1, ROUNDS // len(machine.files()))):
                path.write_bytes(damage(before, dice))
                check_alone(machine)
            if path in (machine.files()[0], machine.files()[-1]):
                check_scrape(machine, slots, whole)
            machine.restore(path, before)
        slots[machine.name].collector = machine.collector()


def check_alone(machine: Machine) -> None:
    """The damaged machine's collector raises nothing but our own errors, and parsers read what it tells."""
    alone = Job(CollectorSlot(machine.name, machine.collector(), 120.0))
    alone.run()
    assert alone.error is None or isinstance(alone.error, CollectorError), repr(alone.error)
    assert list(text_string_to_metric_families(alone.text)) is not None


def check_scrape(machine: Machine, slots: dict[str, CollectorSlot], whole: str) -> None:
    """One scrape of all machines while one is damaged."""
    slots[machine.name].collector = machine.collector()
    text = Scraper(slots.values()).scrape()

    failed = {name for name, success in JUDGED.findall(text) if success == "0"}
    assert failed <= {machine.name}
    rest = set(whole.splitlines()) - set(text.splitlines())
    assert {line for line in rest if not OURS.match(line)} <= lines_of(machine, whole)


def lines_of(machine: Machine, whole: str) -> set[str]:
    """The lines of the whole scrape that this machine told."""
    told = machine.golden.read_text().replace("{folder}", str(machine.folder)).splitlines()
    return set(told) & set(whole.splitlines())


@pytest.mark.parametrize("wrong", ["missing", "folder", "unreadable"])
def test_a_file_that_cannot_be_read_costs_its_own_collector(wrong: str, machines: list[Machine]) -> None:
    """A file that is gone, is a folder, or loops is an error of ours at worst."""
    for machine in machines:
        for path in (path for path in machine.files() if path.suffix != ".bin"):  # what netlink answers is no file
            before = path.read_bytes()
            spoil(path, wrong)
            job = Job(CollectorSlot(machine.name, machine.collector(), 120.0))
            job.run()
            assert job.error is None or isinstance(job.error, CollectorError), repr(job.error)
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            machine.restore(path, before)


def spoil(path: Path, wrong: str) -> None:
    """Make a file one that cannot be read."""
    path.unlink()
    if wrong == "folder":
        path.mkdir()
    elif wrong == "unreadable":
        path.symlink_to(path.name)
