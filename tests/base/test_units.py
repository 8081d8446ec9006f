from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.aliases import KNOWN_NAMES, resolve_alias
from perfloop_base.units import SUFFIXES, measure
from perfloop_exporter.metrics.names import wire_name


@pytest.mark.parametrize(
    ("name", "stem", "base", "factor"),
    [
        ("api_response_time_ms", "api_response_time", "api_response_time_seconds", 0.001),
        ("api_response_time", "api_response_time", "api_response_time_seconds", 0.001),
        ("api_response_time_seconds", "api_response_time", "api_response_time_seconds", 1.0),
        ("time_to_first_token", "time_to_first_token", "time_to_first_token_seconds", 0.001),
        ("time_to_first_token_s", "time_to_first_token", "time_to_first_token_seconds", 1.0),
        ("cpu_percent", "cpu", "cpu_ratio", 0.01),
        ("disk_io_mb_per_second", "disk_io", "disk_io_bytes_per_second", 1e6),
        ("disk_io_mb_s", "disk_io", "disk_io_bytes_per_second", 1e6),
        ("requests_per_s", "requests_per_second", "requests_per_second", 1.0),
        ("orders_total", "orders", "orders_total", 1.0),
        ("last_backup_timestamp_seconds", "last_backup_timestamp", "last_backup_timestamp_seconds", 1.0),
        ("bandwidth_mbps", "bandwidth_mbps", "bandwidth_mbps", 1.0),
        ("custom_metric", "custom_metric", "custom_metric", 1.0),
        ("", "", "", 1.0),
    ],
)
def test_names_say_their_units(name: str, stem: str, base: str, factor: float):
    """The ending of a name gives the base unit and the factor; what has no ending stays."""
    found = measure(name)
    assert (found.stem, found.name, found.factor) == (stem, base, factor)


def test_no_suffix_hides_another():
    """A longer ending stands before its own end, or it would never be found."""
    for place, suffix in enumerate(SUFFIXES):
        for earlier in SUFFIXES[:place]:
            assert not suffix.written.endswith(earlier.written), (suffix, earlier)


@pytest.mark.parametrize("alias", sorted(KNOWN_NAMES))
def test_exporter_and_analyzer_agree(alias: str):
    """One name means one unit: what the exporter multiplies by, the analyzer does too, whatever the ending."""
    names = [alias, *(alias + suffix.written for suffix in SUFFIXES)]
    understood = {name: found.factor for name in names if (found := resolve_alias(name, {})) is not None}
    assert understood == {name: wire_name(name).factor for name in understood}
    assert understood


@given(st.from_regex(r"[a-z]{1,8}(_[a-z]{1,8}){0,3}", fullmatch=True))
def test_a_base_name_stays(name: str):
    """What is in base units already is left alone, value and name."""
    base = measure(name)
    again = measure(base.name)
    assert (again.name, again.factor) == (base.name, 1.0)
