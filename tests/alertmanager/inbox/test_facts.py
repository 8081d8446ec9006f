from __future__ import annotations

import pytest

from perfloop_inbox.facts import first_known, parse_pairs, parse_prose
from perfloop_inbox.messages import Facts


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("[FIRING:2] SlowQueries (demo warning)", Facts("SlowQueries", "", "firing")),
        ("[RESOLVED] SlowQueries", Facts("SlowQueries", "", "resolved")),
        ("[firing] `SlowQueries`", Facts("SlowQueries", "", "firing")),
        ("[FIRING:1]", Facts("", "", "firing")),
        ("severity: critical", Facts("", "critical", "unknown")),
        (" - severity = warning", Facts("", "warning", "unknown")),
        ("severity of the weather", Facts()),
        ("", Facts()),
    ],
)
def test_parse_prose(text: str, facts: Facts):
    """Titles in Alertmanager's form give name and status; a named severity is read anywhere."""
    assert facts == parse_prose(text)


@pytest.mark.parametrize(
    ("pairs", "facts"),
    [
        (
            {"Alert": "*SlowQueries*", "Severity": "WARNING", "Status": "Firing:2"},
            Facts("SlowQueries", "warning", "firing"),
        ),
        ({"alertname": "A", "alert": "B"}, Facts("A", "", "unknown")),
        ({"status": "odd"}, Facts()),
        ({}, Facts()),
    ],
)
def test_parse_pairs(pairs: dict[str, str], facts: Facts):
    """Named values are read whatever their case and decoration."""
    assert facts == parse_pairs(pairs)


def test_first_known():
    """Each fact comes from the first source that knows it."""
    assert first_known(Facts("A"), Facts("B", "warning"), Facts("C", "info", "firing")) == Facts(
        "A", "warning", "firing"
    )
