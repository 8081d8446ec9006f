"""How the stack's own analyzer gets the flags of an example: from prometheus/reading.flags, natively and in Compose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop.stack.components import READING_FILE, build_components
from perfloop.stack.initialization import list_copied
from perfloop.stack.settings import read_settings
from perfloop_analyzer.cli import build_parser
from perfloop_analyzer.config import RunConfig
from perfloop_base.flags import read_flags
from tests.managed.conftest import MANAGED

if TYPE_CHECKING:
    from collections.abc import Sequence


def settings_of(command: Sequence[str]) -> RunConfig:
    """The analyzer's settings by the command line of a component."""
    return read_flags(RunConfig, build_parser().parse_args(list(command[command.index("run") :])))


def native_command(checkout: Path) -> tuple[str, ...]:
    """The analyzer's command line in a native stack."""
    binaries = {name: Path("/usr/bin") / name for name in ("prometheus", "alertmanager")}
    components = build_components(read_settings(checkout, {}), binaries, demo=False)
    return next(one.command for one in components if one.name == "analyzer")


def test_the_shipped_file_has_no_flag(checkout: Path) -> None:
    """Nothing changes for whoever reads from the stack's own Prometheus."""
    lines = (checkout / READING_FILE).read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
    found = settings_of(native_command(checkout)).source
    assert (found.url, found.auth.kind) == ("", "none")


def test_both_stacks_read_it(checkout: Path) -> None:
    """Natively by its path, in Compose by its mount; a copy of the configuration has it too."""
    assert native_command(checkout)[-1] == f"@{checkout / READING_FILE}"
    compose = yaml.safe_load((checkout / "docker-compose.yml").read_text())["services"]["analyzer"]
    assert "@/etc/prometheus/reading.flags" in compose["command"]
    assert "./prometheus:/etc/prometheus:ro" in compose["volumes"]
    assert Path(READING_FILE) in list_copied(checkout)


@pytest.mark.parametrize("path", sorted(MANAGED.glob("*.flags")), ids=lambda path: path.stem)
def test_an_example_in_it_is_what_the_analyzer_reads(path: Path, checkout: Path, tmp_path: Path) -> None:
    """The lines as they are, behind the stack's own flags: they are stronger than the stack's address."""
    flags = tmp_path / "reading.flags"
    flags.write_text(path.read_text())
    command = [word.replace(f"@{checkout / READING_FILE}", f"@{flags}") for word in native_command(checkout)]
    address = next(line for line in path.read_text().splitlines() if line.startswith("--prometheus.url="))
    assert settings_of(command).source.url == address.partition("=")[2]


def test_a_configuration_without_the_file_goes_on(checkout: Path, tmp_path: Path) -> None:
    """One that was written before the file existed starts the analyzer without it."""
    (tmp_path / "prometheus").mkdir()
    assert not [word for word in native_command(tmp_path) if word.startswith("@")]
