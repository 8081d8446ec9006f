"""Receiving OTLP: off by default, added to whatever prometheus.yml says, refused where Prometheus is too old."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop.stack import otlp
from perfloop.stack.alertmanager_version import Version
from perfloop.stack.components import build_components
from perfloop.stack.errors import SettingsError
from perfloop.stack.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

BINARIES = {name: Path("/usr/bin") / name for name in ("prometheus", "alertmanager", "victoriametrics")}


def _prometheus_commands(checkout: Path, environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    components = build_components(read_settings(checkout, environment), BINARIES, demo=False)
    return {one.name: one.command for one in components if one.name.startswith("prometheus")}


def test_it_is_off_by_default(checkout: Path) -> None:
    """Whoever reaches the receiver can write: it is there where somebody asked for it."""
    (command,) = _prometheus_commands(checkout, {}).values()
    assert not set(otlp.FLAGS) & set(command)


def test_one_of_a_pair_receives(checkout: Path) -> None:
    """What is sent once is stored once."""
    commands = _prometheus_commands(checkout, {"PERFLOOP_OTLP": "1", "PERFLOOP_SCALE": "1"})
    assert set(otlp.FLAGS) <= set(commands["prometheus"])
    assert not set(otlp.FLAGS) & set(commands["prometheus_2"])


@pytest.mark.parametrize("value", ["yes", "2", "on"])
def test_another_value_is_refused(checkout: Path, value: str) -> None:
    """The sentence has the variable, the value and the rule."""
    with pytest.raises(SettingsError, match=rf"PERFLOOP_OTLP is '{value}': it is 1 to receive OTLP metrics, else 0"):
        read_settings(checkout, {"PERFLOOP_OTLP": value})


@pytest.mark.parametrize(
    ("version", "shown"), [(Version(2, 42), "2.42"), (Version(2, 55), "2.55"), (None, "Prometheus")]
)
def test_an_older_prometheus_is_refused(version: Version | None, shown: str) -> None:
    """Before anything is started, in one sentence."""
    with pytest.raises(
        SettingsError, match=rf"{shown} has no OTLP receiver that can be used: that needs 3\.0 or later"
    ):
        otlp.require_receiver(version)


@pytest.mark.parametrize("version", [Version(3, 0), Version(3, 13), Version(4, 1)])
def test_a_current_prometheus_is_taken(version: Version) -> None:
    """From 3.0 on."""
    otlp.require_receiver(version)


def test_what_a_person_wrote_holds() -> None:
    """An otlp or storage section of prometheus.yml keeps its values and gets what it leaves out."""
    text = """
otlp: {translation_strategy: NoTranslation}
storage: {tsdb: {out_of_order_time_window: 1h}}
rule_files: [a]
"""
    config = yaml.safe_load(otlp.extend(text))
    assert config["otlp"] == {
        "translation_strategy": "NoTranslation",
        "promote_resource_attributes": list(otlp.PROMOTED),
    }
    assert config["storage"] == {"tsdb": {"out_of_order_time_window": "1h"}}
    assert config["rule_files"] == ["a"]


def test_it_is_added_once(checkout: Path) -> None:
    """The result of the committed file, extended again, is the same."""
    once = otlp.extend((checkout / "prometheus" / "prometheus.yml").read_text())
    assert otlp.extend(once) == once
    assert yaml.safe_load(once)["storage"] == {"tsdb": {"out_of_order_time_window": otlp.LATE}}
