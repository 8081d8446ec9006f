"""Accept and Accept-Encoding: weights, refusals, wildcards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.web.preferences import accepts_gzip, parse_preferences, prefers_openmetrics


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("gzip;q=0.001", True),
        ("*", True),
        ("identity;q=0.5, gzip;q=1.0", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip; q=0.000", False),
        ("gzip ; Q = 0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("br, *;q=0", False),
        ("notgzip", False),
        ("gzip;q=nonsense", False),
        ("gzip;q=-1", False),
        ("identity, gzip;q=0.5", False),
    ],
)
def test_gzip_is_used_only_where_it_is_accepted(header: str, expected: bool):  # noqa: FBT001  # a parameter of the test
    """A weight of 0 is a refusal, and a name counts as a whole."""
    assert accepts_gzip(header) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text; version=0.0.1; charset=utf-8; q=0.8, text/plain;q=0.8", True),
        ("text/plain;q=0, */*", True),
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;version=1.0.0;q=0.0,text/plain", False),
        ("application/openmetrics-text;q=0, text/plain;q=0, */*", False),
        ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ('text/plain;note="a, application/openmetrics-text"', False),
    ],
)
def test_openmetrics_is_written_only_where_it_is_preferred(header: str, expected: bool):  # noqa: FBT001
    """A weight of 0 is a refusal, and plain text may be preferred."""
    assert prefers_openmetrics(header) is expected


@given(st.text())
def test_no_header_is_an_error(header: str):
    """Whatever a client sends, every weight is from 0 to 1."""
    assert all(0 <= one.weight <= 1 for one in parse_preferences(header))
    accepts_gzip(header)
    prefers_openmetrics(header)
