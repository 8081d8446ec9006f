"""Values as programs have them: every shape, every name of our own monitor, and names that nobody knows."""

from __future__ import annotations

import time
from array import array
from collections import deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from perfloop_analyzer import OptimizationAnalyzer
from perfloop_analyzer.aliases import own_signal, resolve_alias
from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.samples import read_moment, read_number, read_samples
from perfloop_exporter.monitor import PerformanceMonitor

START = 1_790_000_000.0
VALUES = [2600.0 + 10 * at for at in range(30)]
TIMES = [START + 10 * at for at in range(30)]
MOMENTS = [datetime.fromtimestamp(at, UTC) for at in TIMES]
Sample = namedtuple("Sample", "time value")  # noqa: PYI024 # an untyped one, as users have them


@dataclass
class Reading:
    """What a monitor of somebody's own keeps."""

    ts: float
    duration_ms: float


class Column:
    """What pandas's Series shows of itself."""

    def __init__(self, values: Any, index: Any) -> None:
        self.index, self._values = index, np.asarray(values)

    def to_numpy(self) -> Any:
        """The values."""
        return self._values

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self._values

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Table:
    """What pandas's DataFrame shows of itself."""

    def __init__(self, index: Any, **columns: Any) -> None:
        self.index, self.columns, self._columns = index, list(columns), columns

    def __getitem__(self, name: str) -> Column:
        return Column(self._columns[name], self.index)

    def to_numpy(self) -> Any:
        """The values."""
        return np.column_stack(list(self._columns.values()))


STAMPS = np.array(TIMES).astype("datetime64[s]").astype("datetime64[ns]")
TIMED = {
    "pairs": list(zip(TIMES, VALUES, strict=True)),
    "Prometheus's pairs": [[at, str(value)] for at, value in zip(TIMES, VALUES, strict=True)],
    "a dictionary": dict(zip(TIMES, VALUES, strict=True)),
    "a dictionary of texts": {moment.isoformat(): str(value) for moment, value in zip(MOMENTS, VALUES, strict=True)},
    "records": [{"timestamp": at, "value": value} for at, value in zip(TIMES, VALUES, strict=True)],
    "records of other names": [{"time": at, "duration_ms": value} for at, value in zip(TIMES, VALUES, strict=True)],
    "records in seconds": [{"ts": at, "duration_s": value / 1e3} for at, value in zip(TIMES, VALUES, strict=True)],
    "datetimes": [{"timestamp": moment, "value": value} for moment, value in zip(MOMENTS, VALUES, strict=True)],
    "milliseconds": [(at * 1e3, value) for at, value in zip(TIMES, VALUES, strict=True)],
    "nanoseconds": [(int(at * 1e9), value) for at, value in zip(TIMES, VALUES, strict=True)],
    "texts of milliseconds": [(str(int(at * 1e3)), value) for at, value in zip(TIMES, VALUES, strict=True)],
    "columns": {"timestamps": TIMES, "values": VALUES},
    "a result of the API": {"status": "success", "data": {"result": [{"metric": {}, "values": [[TIMES[0], "1"]]}]}},
    "an array of pairs": np.column_stack([TIMES, VALUES]),
    "a structured array": np.array(list(zip(TIMES, VALUES, strict=True)), dtype=[("time", "f8"), ("value", "f8")]),
    "named tuples": [Sample(at, value) for at, value in zip(TIMES, VALUES, strict=True)],
    "dataclasses": [Reading(at, value) for at, value in zip(TIMES, VALUES, strict=True)],
    "a series": Column(VALUES, STAMPS),
    "a table": Table(STAMPS, value=VALUES),
    "a table with times in a column": Table(np.arange(30), ts=np.array(TIMES), p95=np.array(VALUES)),
    "the newest first": list(zip(TIMES, VALUES, strict=True))[::-1],
}
UNTIMED = {
    "a list": VALUES,
    "a tuple": tuple(VALUES),
    "a deque": deque(VALUES),
    "a generator": (value for value in VALUES),
    "texts": [str(value) for value in VALUES],
    "decimals": [Decimal(str(value)) for value in VALUES],
    "an array": np.array(VALUES),
    "an array of texts": np.array([str(value) for value in VALUES]),
    "a column of an array": np.array(VALUES)[:, None],
    "Python's array": array("d", VALUES),
    "a series without times": Column(VALUES, np.arange(30)),
    "with gaps": [None, float("nan"), float("inf"), "n/a", *VALUES],
    "an inner list": {"samples": VALUES},
}


@pytest.mark.parametrize("shape", TIMED)
def test_a_shape_with_times_is_read(shape: str) -> None:
    """The same numbers at the same times, whatever holds them."""
    samples = read_samples(TIMED[shape], 0.95)
    if shape == "a result of the API":
        assert (samples.values.tolist(), samples.times) == ([1.0], pytest.approx([START]))
        return
    assert samples.times == pytest.approx(TIMES)
    assert samples.values * (samples.factor or 1e-3) == pytest.approx(np.array(VALUES) / 1e3)


@pytest.mark.parametrize("shape", UNTIMED)
def test_a_shape_without_times_is_read(shape: str) -> None:
    """Only the numbers count, and what is none is left out."""
    samples = read_samples(UNTIMED[shape], 0.95)
    assert (samples.values.tolist(), samples.times) == (VALUES, None)


@pytest.mark.parametrize(
    ("item", "number"),
    [("1500", 1500), (" 1.5e3 ", 1500), (Decimal("2.5"), 2.5), (np.float32(3), 3), (np.array([4]), 4), (7, 7)],
)
def test_what_is_a_number(item: Any, number: float) -> None:
    """Also as text."""
    assert read_number(item) == number


@pytest.mark.parametrize(
    "item", [None, True, np.bool_(1), "", "n/a", "1_000", "nan", "inf", "5 ms", [], {}, b"5", 1e31, 10**400]
)
def test_what_is_no_number(item: Any) -> None:
    """Nothing is guessed."""
    assert np.isnan(read_number(item))


@pytest.mark.parametrize(
    "stamp",
    [
        START,
        int(START),
        START * 1e3,
        int(START * 1e6),
        int(START * 1e9),
        str(START),
        datetime.fromtimestamp(START, UTC),
        datetime.fromtimestamp(START, UTC).isoformat().replace("+00:00", "Z"),
        np.datetime64(int(START), "s"),
    ],
)
def test_what_is_a_moment(stamp: Any) -> None:
    """Seconds, their thousandth parts, texts and datetimes."""
    assert read_moment(stamp) == pytest.approx(START)


def _analyze(**data: Any) -> dict[str, Any]:
    return OptimizationAnalyzer().analyze_performance_data(data)


async def test_what_the_monitor_returns_goes_in_as_it_is() -> None:
    """Statistics under their names and the whole state of the machine: nothing is unknown, nothing is ignored."""
    monitor = PerformanceMonitor()
    for number in range(200):
        monitor.record_metric("api_response_time_ms", 2500 + number)
        monitor.record_metric("cache_hit_rate_percent", 35.0)
    stats = {name: monitor.get_metric_stats(name) for name in ("api_response_time_ms", "cache_hit_rate_percent")}
    system = monitor.get_system_stats()
    analysis = _analyze(metrics=stats, system_metrics=system)
    assert analysis["ignored"] == {}
    assert {"api", "cache"} <= {one["resource"] for one in analysis["bottlenecks"]}
    value = next(one["value"] for one in analysis["findings"] if one["signal"] == "api_response_time_p95")
    assert value == pytest.approx(stats["api_response_time_ms"].p95 / 1e3)
    assert set(system) <= set(analysis["summary"]["context"]) | {
        *("cpu_percent", "memory_percent", "swap_percent", "disk_percent", "cpu_count", "memory_total_bytes"),
        *(f"{one}_per_second" for one in ("disk_read_bytes", "disk_write_bytes", "network_sent_bytes")),
        "network_received_bytes_per_second",
    }
    flat = OptimizationAnalyzer().analyze_performance_data(system)
    assert flat["ignored"] == {}
    assert flat["system_health_score"] is not None


def test_the_unit_of_statistics_is_theirs() -> None:
    """A name without its unit, over statistics that have one."""
    monitor = PerformanceMonitor()
    monitor.record_metric("response_time_seconds", 2.5)
    analysis = _analyze(metrics={"response_time": monitor.get_metric_stats("response_time_seconds")})
    assert [one["value"] for one in analysis["findings"]] == [pytest.approx(2.5)]


@pytest.mark.parametrize(
    ("name", "signal", "factor"),
    [
        ("api_response_time", "api_response_time_p95", 1e-3),
        ("responseTimeMs", "api_response_time_p95", 1e-3),
        ("p95_latency_ms", "api_response_time_p95", 1e-3),
        ("API Response Time (ms)", "api_response_time_p95", 1e-3),
        ("api_response_time_p95", "api_response_time_p95", 1.0),
        ("app_api_response_time_seconds", "api_response_time_p95", 1.0),
        ("connection_pool_utilization_percent", "db_pool_used_ratio", 1e-2),
        ("connection_pool_percent", "db_pool_used_ratio", 1e-2),
        ("disk_io_mb_s", "disk_io_bytes_per_second", 1e6),
        ("network_io_mb_per_sec", "network_io_bytes_per_second", 1e6),
        ("network_received_bytes_per_second", "network_receive_bytes_per_second", 1.0),
        ("cpu_usage_percent", "cpu_used_ratio", 1e-2),
        ("disk_percent", "filesystem_used_ratio", 1e-2),
        ("ttft_ms", "time_to_first_token_p95", 1e-3),
        ("errors_percent", "error_ratio", 1e-2),
    ],
)
def test_what_a_name_means(name: str, signal: str, factor: float) -> None:
    """In any spelling, with the unit of its ending."""
    alias = resolve_alias(name, {one.name: one for one in load_catalog()})
    assert alias is not None
    assert (alias.signal, alias.factor) == (signal, pytest.approx(factor))


@pytest.mark.parametrize("name", ["memory_used_bytes", "errors", "timeout_ms", "disk_io_mb", "mood", "", "???", "read"])
def test_what_a_name_does_not_mean(name: str) -> None:
    """A size is no share, a count is no ratio."""
    assert resolve_alias(name, {one.name: one for one in load_catalog()}) is None


def test_records_in_records_are_flat() -> None:
    """`memory: {percent: 95}`, and what psutil returns."""
    memory = namedtuple("memory", "total available percent used")(16e9, 1e9, 95.0, 15e9)  # noqa: PYI024
    for given in ({"memory": {"percent": 95}}, {"memory": memory}, [{"timestamp": START, "memory": {"percent": 95}}]):
        analysis = _analyze(system_metrics=given)
        assert "memory_used_ratio" in {one["signal"] for one in analysis["findings"]}, given


def test_records_with_names_and_tables_are_understood() -> None:
    """One row a value, and one column a name."""
    rows = [{"name": "api_response_time_ms", "timestamp": at, "value": 2600} for at in TIMES]
    table = Table(STAMPS, api_response_time_ms=VALUES, cpu_percent=[97.0] * 30)
    assert _analyze(metrics=rows)["summary"]["signals"] == ["api_response_time_p95"]
    assert _analyze(metrics=table)["summary"]["signals"] == ["api_response_time_p95", "cpu_used_ratio"]
    assert OptimizationAnalyzer().analyze_performance_data(table)["system_health_score"] < 80  # type: ignore[arg-type]


def test_a_name_that_nobody_knows_is_judged_by_its_own_past() -> None:
    """A jump at its end is unusual, a rise is a trend, and a steady one is neither; the score says so."""
    rng = np.random.default_rng(3)
    steady = rng.normal(100, 3, 200)
    jump = np.r_[steady[:190], steady[190:] + 60]
    rise = np.linspace(100, 300, 200) + rng.normal(0, 3, 200)
    for values, detectors in ((steady, set()), (jump, {"anomaly", "change_point"}), (rise, {"trend"})):
        analysis = _analyze(metrics={"Queue-Depth": values})
        assert analysis["ignored"] == {}
        assert analysis["summary"]["signals"] == ["queue_depth"]
        found = {one["detector"] for one in analysis["findings"]}
        assert bool(found) == bool(detectors)
        assert found <= detectors or "trend" in found
        assert bool(analysis["recommendations"]) == bool(detectors)
        if found:
            assert "Queue-Depth" in analysis["recommendations"][0]["title"]
            assert analysis["system_health_score"] < 100
    assert own_signal("free_memory_mb", 1.0).direction == "below"


def test_a_known_name_with_values_that_it_cannot_have_is_judged_by_its_own_past() -> None:
    """A memory of gigabytes is no share of it."""
    rng = np.random.default_rng(8)
    analysis = _analyze(metrics={"memory_used_ratio": rng.normal(8e9, 1e8, 40), "3rd party": rng.normal(5, 1, 40)})
    assert analysis["summary"]["signals"] == ["own_3rd_party", "own_memory_used_ratio"]
    assert analysis["system_health_score"] == 100.0


def test_too_few_values_of_an_unknown_name_are_said() -> None:
    """With how many it takes."""
    assert "3 of the 16 values" in _analyze(metrics={"queue_depth": [1, 2, 3]})["ignored"]["queue_depth"]


def test_what_is_received_is_not_sent_less() -> None:
    """Downloads under the limit need nothing; beyond it the advice is about what is received."""
    for rate, found in ((20e6, []), (60e6, ["Network: reduce the traffic of system (received)"])):
        system = {"network_received_bytes_per_second": rate, "network_sent_bytes_per_second": 1e5}
        titles = [one["title"] for one in _analyze(system_metrics=system)["recommendations"]]
        assert titles == found
    rng = np.random.default_rng(5)
    doubled = np.r_[rng.normal(8e6, 2e5, 100), rng.normal(18e6, 2e5, 30)]
    readings = [
        {"timestamp": START + 10 * at, "network_received_bytes_per_second": value, "network_sent_bytes_per_second": 1e5}
        for at, value in enumerate(doubled)
    ]
    for one in _analyze(system_metrics=readings)["recommendations"]:
        assert "send" not in one["title"].lower()


def test_counters_since_the_start_become_rates() -> None:
    """Two readings with their times; a restart is no negative rate, and one reading is background."""
    counted = np.cumsum(np.full(30, 60e6)) + 1e12
    counted[20:] -= counted[20]  # the machine was started again
    readings = [{"timestamp": START + at, "network_received_bytes": value} for at, value in enumerate(counted)]
    analysis = _analyze(system_metrics=readings)
    assert {"network_io_bytes_per_second"} == {one["signal"] for one in analysis["findings"]}
    assert analysis["findings"][0]["value"] == pytest.approx(60e6, rel=0.1)
    single = _analyze(system_metrics={"network_received_bytes": 1e12})
    assert (single["ignored"], single["system_health_score"]) == ({}, None)
    assert "two readings" in single["summary"]["context"]["network_received_bytes"]


def test_a_column_of_statistics_and_a_row_of_names() -> None:
    """What describe() returns, and one row of a table: the labels are names, not readings."""
    described = Column([120.0, 1500.0, 50.0, 1900.0, 2100.0], ["count", "mean", "std", "95%", "max"])
    row = Column([1900.0, 97.0], ["api_response_time_ms", "cpu_percent"])
    assert read_samples(described, 0.95).values.tolist() == [1900.0]
    assert read_samples(described, None).values.tolist() == [1500.0]
    assert _analyze(metrics=row)["summary"]["signals"] == ["api_response_time_p95", "cpu_used_ratio"]


def test_many_samples_take_no_time() -> None:
    """A hundred thousand values of three names."""
    rng = np.random.default_rng(9)
    data = {name: rng.gamma(2.0, 50.0, 100_000) for name in ("api_response_time_ms", "db_query_time_ms", "my_own")}
    began = time.process_time()
    assert _analyze(metrics=data)["ignored"] == {}
    assert time.process_time() - began < 30


def test_no_data_has_no_score() -> None:
    """Nothing finite is not healthy."""
    for value in ([float("nan")] * 20, [float("inf")] * 20, [], None, "n/a"):
        analysis = _analyze(metrics={"api_response_time_ms": value})
        assert analysis["system_health_score"] is None
        assert analysis["summary"]["no_data"] == "no data for 1 of 1 names"


def test_a_week_of_hourly_values_keeps_its_times() -> None:
    """Cells are parts of a day; gaps stay gaps."""
    week = [(START + 3600 * hour, 300.0) for hour in range(168) if hour % 24 != 3]
    shifted = [(datetime.fromtimestamp(at, UTC) + timedelta(0), value) for at, value in week]
    assert _analyze(metrics={"api_response_time_ms": shifted})["system_health_score"] == 100.0
