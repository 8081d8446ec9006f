"""docs/exporter.md lists every collector, and only flags that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ExitCode
from perfloop_exporter import cli
from perfloop_exporter.collectors import catalogue, portable

if TYPE_CHECKING:
    from pathlib import Path

SPECS = {spec.name: spec for spec in (*catalogue.SPECS, *portable.SPECS)}


@pytest.fixture(scope="module")
def page(checkout: Path) -> str:
    """Return the text of the page."""
    return (checkout / "docs" / "exporter.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(SPECS.keys() - {"boottime"}))
def test_every_collector_is_in_the_table(name: str, page: str) -> None:
    """Its row says whether it is on by default; boottime, which only other operating systems have, is on the page."""
    row = re.search(rf"^\| `{name}` \| (on|off|\u2013) \| (on|off) \|", page, re.MULTILINE)

    assert "`boottime`" in page
    assert row is not None
    assert row[2] == ("on" if SPECS[name].default else "off")


def test_every_flag_on_the_page_exists(page: str) -> None:
    """The parser has each flag that the page names."""
    known = {flag for action in cli.build_parser()._actions for flag in action.option_strings}
    named = set(re.findall(r"--[a-z]+\.[a-z.-]*[a-z]", page))

    assert {flag for flag in named - known if "NAME" not in flag} == set()


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Both print, and the exit code is 0."""
    assert cli.main(["--version"]) == ExitCode.OK
    assert cli.main(["--help"]) == ExitCode.OK

    printed = capsys.readouterr().out
    assert "perfloop exporter, version " in printed
    assert "--collector.filesystem.mount-points-exclude" in printed
    assert "--collector.cpu.deadline" not in printed
    assert "SUPPRESS" not in printed
