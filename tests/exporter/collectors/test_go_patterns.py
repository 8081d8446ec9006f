"""Patterns in Go's syntax: what they match there, they match here."""

from __future__ import annotations

import re

import pytest

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors.go_patterns import CLASSES, translate
from perfloop_exporter.collectors.spec import pattern


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        (r"^(veth.*|[a-f0-9]{15})$", "veth1", "eth0"),
        (r"^[[:alpha:]]+[[:digit:]]\z", "eth0", "eth0.1"),
        (r"^[^[:digit:]]+$", "lo", "eth0"),
        (r"^[[:lower:]_]+$", "a_b", "A"),
        (r"^\Qa.b+\E$", "a.b+", "axbb"),
        (r"^\Qa.b", "a.bc", "axb"),
        (r"^\x{65}th", "eth0", "lo"),
        (r"^(?i)ETH", "eth0", "lo"),
        (r"(?i)^ETH", "eth0", "lo"),
        (r"^(?P<kind>eth|en)\d", "en1", "lo"),
        (r"^a\\z$", "a\\z", "a"),
        ("^nvme\\d+n\\d+$", "nvme0n1", "nvme0n1p1"),
    ],
)
def test_a_pattern_means_what_it_means_for_go(text: str, matching: str, other: str):
    """The first name matches, and the second does not."""
    found = pattern("x", "y", text)
    assert found is not None
    assert found.search(matching)
    assert not found.search(other)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_valid(name: str):
    """Alone, negated and beside others; no class has a character that it should not."""
    members = {chr(code) for code in range(128) if re.fullmatch(translate(f"[[:{name}:]]"), chr(code))}
    rest = {chr(code) for code in range(128) if re.fullmatch(translate(f"[^[:{name}:]]"), chr(code))}
    assert members | rest == {chr(code) for code in range(128)}
    assert not members & rest


def test_what_is_no_pattern_for_either_is_an_error():
    """The message names the flag and the value."""
    with pytest.raises(ConfigError, match=r"--collector\.x\.y: '\[\[:alpha:\]' is not a regular expression"):
        pattern("x", "y", "[[:alpha:]")
