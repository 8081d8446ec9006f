"""Every time that a service measures has the same bounds: those of PERFLOOP_BUCKETS."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from perfloop_base.buckets import DEFAULT, NAMED

# In a process of its own: the bounds are read when the registry is made.
LIST = """
import json, logging
logging.basicConfig(format="%(message)s")
from perfloop import *
from perfloop_exporter.instrument import *
from perfloop_exporter.instrument.http_metrics import HttpMetrics
from perfloop_exporter.instrument.llm_openai import instrument_openai
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.monitor import PerformanceMonitor
HttpMetrics(DEFAULT)
PerformanceMonitor(DEFAULT).record_metric("api_response_time_ms", 501)
found = {family.descriptor.name: family.descriptor.bounds for family in DEFAULT._families.values()}
print(json.dumps({name: bounds for name, bounds in found.items() if bounds and name.endswith("_seconds")}))
"""


def bounds_of_every_time(variable: str | None) -> tuple[dict[str, tuple[float, ...]], str]:
    """Return the bounds of every histogram of seconds, and what was logged."""
    environment = {} if variable is None else {"PERFLOOP_BUCKETS": variable}
    found = subprocess.run(
        [sys.executable, "-c", LIST], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    return {name: tuple(bounds) for name, bounds in json.loads(found.stdout).items()}, found.stderr


@pytest.mark.parametrize(("variable", "bounds"), [(None, DEFAULT), ("coarse", NAMED["coarse"])])
def test_every_time_has_the_chosen_bounds(variable: str | None, bounds: tuple[float, ...]):
    """Requests, first bytes, gaps, queries, pools, caches, models, clients and an application's own."""
    found, logged = bounds_of_every_time(variable)
    assert {name for name, own in found.items() if own != bounds} == set()
    assert logged == ""
    assert len(found) >= 14
    assert "db_client_operation_duration_seconds" in found
    assert "app_api_response_time_seconds" in found


def test_a_wrong_choice_is_logged_and_measures_all_the_same():
    """A service starts whatever its environment says."""
    found, logged = bounds_of_every_time("wide")
    assert set(found.values()) == {DEFAULT}
    (line,) = logged.splitlines()
    assert line.startswith("PERFLOOP_BUCKETS has the value 'wide'; it must be one of fine, medium, coarse, or")
    assert line.endswith("The default is used")
