"""The committed thresholds, changes of the file, and a file that becomes invalid."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors import thresholds
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfloop_exporter.collectors.families import Collector

PROMISED = {
    "api_response_time_p95": 1,
    "timeout_ratio": 0.01,
    "error_ratio": 0.05,
    "db_query_time_p95": 0.1,
    "db_pool_used_ratio": 0.8,
    "model_inference_time_p95": 5,
    "cpu_used_ratio": 0.7,
    "memory_used_ratio": 0.8,
    "disk_io_bytes_per_second": 50_000_000,
    "network_io_bytes_per_second": 25_000_000,
    "cache_hit_ratio": 0.8,
    "vector_search_time_p95": 0.2,
}
SIGNAL = """signals:
  - {signal: a, title: A, component: api, kind: red, unit: seconds, direction: above, warning: WARNING,
     owner: api, alert: A, category: degradation, record: a, expr: a}
"""


def write(file: Path, warning: object) -> None:
    """Write a file with one signal."""
    file.write_text(SIGNAL.replace("WARNING", str(warning)))


def replace(file: Path, warning: object) -> None:
    """Write another file and rename it, as editors do."""
    write(file.with_suffix(".new"), warning)
    file.with_suffix(".new").replace(file)


def build(file: Path) -> Collector:
    """Build a collector of this file."""
    return thresholds.SPEC.build(Host(), {"file": str(file)})


def limits(collector: Collector) -> dict[tuple[str, ...], float]:
    """Return the exported limits by signal and severity."""
    return dict(dict(collector.collect())[thresholds.THRESHOLD])  # type: ignore[arg-type]  # no Verbatim here


def test_the_committed_file_has_the_promised_limits(checkout: Path) -> None:
    """Each signal warns at the limit that the user asked for."""
    found = limits(build(checkout / "prometheus" / "thresholds.yml"))

    assert {name: found[name, "warning"] for name in PROMISED} == PROMISED


@pytest.mark.parametrize("change", [write, replace])
def test_a_changed_file_is_exported_at_the_next_scrape(tmp_path: Path, change: Callable[[Path, object], None]) -> None:
    """No restart is needed, whether the file is written in place or replaced by a rename."""
    file = tmp_path / "thresholds.yml"
    write(file, 1)
    collector = build(file)
    assert limits(collector) == {("a", "warning"): 1.0}

    for value in (2, 3):  # texts of the same length
        change(file, value)

        assert limits(collector) == {("a", "warning"): float(value)}


def test_an_invalid_file_keeps_the_last_valid_limits_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The series stay, one line in the log has the problem, and the next valid version is exported."""
    caplog.set_level(logging.INFO, "perfloop_exporter")
    file = tmp_path / "thresholds.yml"
    write(file, 1)
    collector = build(file)
    limits(collector)

    write(file, "high")
    assert [limits(collector) for _ in range(3)] == [{("a", "warning"): 1.0}] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "cannot load thresholds, keeping the last valid ones",
    ]
    assert "thresholds.yml:2: signal a: warning has the value 'high'" in caplog.records[0].__dict__["err"]

    write(file, 4)
    assert limits(collector) == {("a", "warning"): 4.0}
    assert caplog.records[-1].getMessage() == "thresholds loaded"


def test_a_removed_file_keeps_the_last_valid_limits(tmp_path: Path) -> None:
    """Between the removal and the creation of a file that is replaced, a scrape still has the limits."""
    file = tmp_path / "thresholds.yml"
    write(file, 1)
    collector = build(file)
    limits(collector)

    file.unlink()
    assert limits(collector) == {("a", "warning"): 1.0}
    write(file, 2)
    assert limits(collector) == {("a", "warning"): 2.0}


def test_a_file_that_was_never_valid_fails_every_scrape(tmp_path: Path) -> None:
    """Invalid and missing files are distinguished; a file that becomes valid is exported."""
    file = tmp_path / "thresholds.yml"
    collector = build(file)
    with pytest.raises(NoDataError, match="No such file"):
        collector.collect()
    file.write_text("signals: [\n")
    for _ in range(2):
        with pytest.raises(CollectorError, match=r"thresholds.yml:\d: not valid YAML"):
            collector.collect()

    write(file, 1)
    assert limits(collector) == {("a", "warning"): 1.0}
