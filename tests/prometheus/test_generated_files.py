"""The committed rules, alerts and tests are what their sources give, and the real tools take them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfloop_rules.generation import generate, read_sources

ROOM = Path(__file__).resolve().parents[2] / "prometheus"
TEST_FILES = sorted(path.name for path in (ROOM / "tests").glob("*_test.yml"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool and return what it said."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_committed_files_are_what_the_sources_give(room: Path):
    """A change of a threshold that was not generated is caught here."""
    generated = generate(read_sources(room))
    assert {name: (room / name).read_text() for name in generated} == generated


def test_nothing_lies_in_the_generated_folders_that_nothing_generates(room: Path):
    """A pack that is gone leaves no alerts behind; only RED, USE and the recordings' test are written by hand."""
    generated = set(generate(read_sources(room)))
    lying = {
        f"{folder}/{path.name}" for folder in ("rules", "alerts", "tests") for path in (room / folder).glob("*.yml")
    }
    assert lying - generated == {"rules/red.yml", "rules/use.yml", "tests/recordings_test.yml"}


def test_promtool_takes_the_configuration_and_every_rule(room: Path, promtool: str):
    """`promtool check config` reads the rules as well and finds nothing to complain of."""
    done = run(promtool, "check", "config", str(room / "prometheus.yml"))
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", TEST_FILES)
def test_alerts_pass_their_promtool_tests(room: Path, promtool: str, name: str):
    """Each alert is quiet at its limit, fires beyond it and resolves; each recording gives the number it says."""
    done = run(promtool, "test", "rules", str(room / "tests" / name))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried(room: Path, alert_rules: list[dict[str, Any]]):
    """No alert is without a promtool test of its name."""
    tested = "".join((room / "tests" / name).read_text() for name in TEST_FILES)
    assert [rule["alert"] for rule in alert_rules if f'alertname="{rule["alert"]}"' not in tested] == []


def test_check_flag_says_all_is_well(room: Path, promtool: str, amtool: str):
    """`python -m perfloop_rules --check` is what `make check` calls."""
    done = run(sys.executable, "-m", "perfloop_rules", "--check")
    assert (done.returncode, done.stderr) == (0, "")
