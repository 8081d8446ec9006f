"""Damaged /proc, /sys and cgroup files: only the collector that reads them may fail, and nothing else changes."""

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
SUCCESS = re.compile(r'^node_scrape_collector_success\{collector="(.+)"\} (\d)$', re.MULTILINE)
OURS = re.compile(r"^(# \w+ )?node_scrape_collector_")


def cut(data: bytes, dice: random.Random) -> bytes:
    """Cut the file off."""
    return data[: dice.randrange(len(data) + 1)]


def flip(data: bytes, dice: random.Random) -> bytes:
    """Change a few bytes."""
    noisy = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        if noisy:
            noisy[dice.randrange(len(noisy))] = dice.randrange(256)
    return bytes(noisy)


def replace_number(data: bytes, dice: random.Random) -> bytes:
    """Replace a number by an invalid or far too large one."""
    wrong = dice.choice([b"-1", b"nan", b"inf", b"1e999", b"9" * 40, b"0x", b"max", b"", b"\xff\xfe", b"1.5.2", b"-"])
    numbers = list(re.finditer(rb"\d+", data))
    if not numbers:
        return wrong
    chosen = dice.choice(numbers)
    return data[: chosen.start()] + wrong + data[chosen.end() :]


def swap_words(data: bytes, dice: random.Random) -> bytes:
    """Shuffle the words."""
    words = re.split(rb"(\s+)", data)
    dice.shuffle(words)
    return b"".join(words)


def repeat(data: bytes, dice: random.Random) -> bytes:
    """Repeat or remove lines."""
    lines = data.splitlines(keepends=True)
    return b"".join(line * dice.randint(0, 3) for line in lines)


def noise(_data: bytes, dice: random.Random) -> bytes:
    """Return arbitrary bytes."""
    return dice.randbytes(dice.choice([0, 1, 40, 5000]))


DAMAGES = (cut, flip, replace_number, swap_words, repeat, noise)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_costs_its_own_collector_and_nothing_else(
    damage: Callable[[bytes, random.Random], bytes], machines: list[Machine], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a file contains, only its collector's success may become 0, and the rest can be parsed."""
    caplog.set_level(logging.CRITICAL + 1, "perfloop_exporter")
    dice = random.Random(f"{damage.__name__} 1")
    slots = {machine.name: CollectorSlot(machine.name, machine.collector(), 120.0) for machine in machines}
    whole = Scraper(slots.values()).scrape()
    assert {name for name, success in SUCCESS.findall(whole) if success == "1"} == set(slots)
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
    """Check that the damaged machine's collector raises only CollectorError, and that every line can be parsed."""
    alone = Job(CollectorSlot(machine.name, machine.collector(), 120.0))
    alone.run()
    assert alone.error is None or isinstance(alone.error, CollectorError), repr(alone.error)
    samples = [sample for family in text_string_to_metric_families(alone.text) for sample in family.samples]
    assert len(samples) == sum(not line.startswith("#") for line in alone.text.split("\n")[:-1])


def check_scrape(machine: Machine, slots: dict[str, CollectorSlot], whole: str) -> None:
    """Check one scrape of all machines while one is damaged."""
    slots[machine.name].collector = machine.collector()
    text = Scraper(slots.values()).scrape()

    failed = {name for name, success in SUCCESS.findall(text) if success == "0"}
    assert failed <= {machine.name}
    rest = set(whole.splitlines()) - set(text.splitlines())
    assert {line for line in rest if not OURS.match(line)} <= lines_of(machine, whole)


def lines_of(machine: Machine, whole: str) -> set[str]:
    """Return the lines of the whole scrape that are this machine's."""
    expected = machine.golden.read_text().replace("{directory}", str(machine.directory)).splitlines()
    return set(expected) & set(whole.splitlines())


@pytest.mark.parametrize("wrong", ["missing", "directory", "unreadable"])
def test_a_file_that_cannot_be_read_costs_its_own_collector(wrong: str, machines: list[Machine]) -> None:
    """A file that is missing, is a directory, or is a symlink loop raises at most a CollectorError."""
    for machine in machines:
        for path in (path for path in machine.files() if path.suffix != ".bin"):  # *.bin are netlink's messages
            before = path.read_bytes()
            spoil(path, wrong)
            job = Job(CollectorSlot(machine.name, machine.collector(), 120.0))
            job.run()
            assert job.error is None or isinstance(job.error, CollectorError), repr(job.error)
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            machine.restore(path, before)


def spoil(path: Path, wrong: str) -> None:
    """Make a file unreadable."""
    path.unlink()
    if wrong == "directory":
        path.mkdir()
    elif wrong == "unreadable":
        path.symlink_to(path.name)
