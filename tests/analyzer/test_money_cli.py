"""Money on the command line: the effort of what is accepted, and what is printed of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from perfloop_analyzer.cli import main
from perfloop_analyzer.recommend import Recommendation, with_money
from perfloop_analyzer.reporters.terminal import print_recommendations
from perfloop_analyzer.store import Database
from perfloop_base.errors import ExitCode
from perfloop_base.prices import Prices

if TYPE_CHECKING:
    from pathlib import Path

LESS = Recommendation(
    *("waste-shop-1", "waste_container_cpu", "shop", "cpu", "waste", "low", "Lower the limit", "do"),
    *("low", "none", ("container_cpu_limit_cores",), ({},)),
    values={"resize": {"resource": "core_hour", "amount": -2.0, "name": ""}},
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with one recommendation."""
    address = f"sqlite:///{tmp_path}/analyzer.sqlite"
    with contextlib.closing(Database(address)) as database:
        database.merge([LESS], 100.0)
    return address


def _kept(url: str) -> Recommendation:
    with contextlib.closing(Database(url)) as database:
        (found,) = database.recommendations()
    return found


def test_the_hours_are_kept(url: str):
    """Whoever accepts it says how much work it is, and may correct that when it is done."""
    assert main(["accept", LESS.id, "--effort-hours=3", f"--store.url={url}"]) == ExitCode.OK
    assert _kept(url).values["effort_hours"] == 3.0
    assert main(["implement", LESS.id, "--effort-hours=4.5", f"--store.url={url}"]) == ExitCode.OK
    assert _kept(url).values["effort_hours"] == 4.5


@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "1e5", "a day"])
def test_hours_that_are_none_are_refused(url: str, hours: str, capsys: pytest.CaptureFixture[str]):
    """One sentence, and nothing is accepted."""
    assert main(["accept", LESS.id, f"--effort-hours={hours}", f"--store.url={url}"]) == ExitCode.USAGE
    assert f"--effort-hours: '{hours}' is no number of hours: write one from 0 to 10,000" in capsys.readouterr().err
    assert _kept(url).state == "open"


def test_to_dismiss_takes_no_hours(url: str, capsys: pytest.CaptureFixture[str]):
    """The flag belongs to what is done."""
    assert main(["dismiss", LESS.id, "--effort-hours=1", f"--store.url={url}"]) == ExitCode.USAGE
    assert "--effort-hours" in capsys.readouterr().err


def test_the_terminal_prints_the_money():
    """One line: saving, effort and return."""
    console = Console(record=True, width=200)
    print_recommendations(with_money([LESS], Prices("EUR", {"core_hour": 0.03}, effort_hour=80.0)), console)
    line = "money: saves 43.80 EUR a month (expected); 1 h of work for 80.00 EUR; paid back after 1.8 months"
    assert line in console.export_text()
