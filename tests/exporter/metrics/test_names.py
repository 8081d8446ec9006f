"""Exported names of the user's metrics and tags."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_exporter.metrics.names import NAME_LIMIT, label_name, wire_name


@pytest.mark.parametrize(
    ("name", "wire", "kind", "factor", "unit"),
    [
        ("api_response_time_ms", "app_api_response_time_seconds", "histogram", 1e-3, "ms"),
        ("api_response_time", "app_api_response_time_seconds", "histogram", 1e-3, "ms"),
        ("query_seconds", "app_query_seconds", "histogram", 1.0, "s"),
        ("parse_us", "app_parse_seconds", "histogram", 1e-6, "us"),
        ("cache_hit_rate_percent", "app_cache_hit_rate_ratio", "gauge", 1e-2, "percent"),
        ("cpu_percent", "app_cpu_ratio", "gauge", 1e-2, "percent"),
        ("heap_mb", "app_heap_bytes", "gauge", 1e6, "MB"),
        ("last_backup_timestamp_seconds", "app_last_backup_timestamp_seconds", "gauge", 1.0, "s"),
        ("orders_total", "app_orders_total", "counter", 1.0, ""),
        ("custom_metric", "app_custom_metric", "gauge", 1.0, ""),
        ("app_queue.depth", "app_queue_depth", "gauge", 1.0, ""),
        ("größe in µm", "app_gr_e_in_m", "gauge", 1.0, ""),
        ("", "app_unnamed", "gauge", 1.0, ""),
    ],
)
def test_units_become_base_units(name: str, wire: str, kind: str, factor: float, unit: str):
    """Milliseconds are exported as seconds, per cent as a ratio, each with its suffix."""
    found = wire_name(name)
    assert (wire, kind, factor, unit) == (found.name, found.kind, found.factor, found.unit)


@given(st.text(max_size=NAME_LIMIT))
def test_every_text_gives_valid_names(text: str):
    """Prometheus accepts the exported name of any metric or tag."""
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", wire_name(text).name)
    label = label_name(text)
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label)
    assert not label.startswith("__")
    assert label not in {"le", "quantile"}
