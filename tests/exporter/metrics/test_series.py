"""Series: appended to without a lock, folded when read, exact under threads."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from perfloop_exporter.metrics.series import (
    BUFFER_LIMIT,
    CounterSeries,
    Exemplar,
    GaugeSeries,
    HistogramSeries,
    LatestGaugeSeries,
)

BOUNDS = (0.1, 1.0, 10.0)


@given(st.lists(st.floats(min_value=-100, max_value=100), max_size=2000))
def test_buckets_equal_the_naive_count(values: list[float]):
    """Each bucket counts exactly the values at or below its bound, and the sum is that in order of recording."""
    series = HistogramSeries((), BOUNDS)
    for value in values:
        series.observe(value)
    counts, total = series.read()
    assert [sum(value <= bound for value in values) for bound in BOUNDS] + [len(values)] == counts
    expected = 0.0
    for value in values:
        expected += value
    assert expected == total


def test_no_value_is_lost_under_threads():
    """With eight writers and a reader, every observation and increment is counted once."""
    histogram, counter, gauge = HistogramSeries((), BOUNDS), CounterSeries(()), GaugeSeries(())
    each = 5 * BUFFER_LIMIT

    def work() -> None:
        for _ in range(each):
            histogram.observe(0.5)
            counter.inc()
            gauge.inc(1)
            gauge.inc(-1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts, total = histogram.read()
        assert counts[-1] * 0.5 == total
    for thread in threads:
        thread.join()
    assert ([0, 8 * each, 8 * each, 8 * each], 8 * each * 0.5) == histogram.read()
    assert 8 * each == counter.total
    assert gauge.value == 0


def test_memory_is_bounded_without_reads():
    """Writers fold the buffer: it never grows beyond its limit."""
    series = HistogramSeries((), BOUNDS)
    for _ in range(10 * BUFFER_LIMIT):
        series.observe(1.0)
        assert len(series.pending) <= BUFFER_LIMIT


def test_a_counter_never_falls():
    """Negative increments and NaN are ignored."""
    counter = CounterSeries(())
    for amount in (2.0, -1.0, float("nan")):
        counter.inc(amount)
    assert counter.total == 2.0


def test_states_of_two_processes_add_up():
    """Counters, histograms and gauges are summed; of `latest` gauges the newest value counts."""
    one, two = HistogramSeries((), BOUNDS), HistogramSeries((), BOUNDS)
    one.observe(0.5)
    two.observe(5.0)
    two.keep_exemplar(Exemplar((("trace_id", "a"),), 5.0, 2.0))
    one.absorb(two.state())
    assert one.read() == ([0, 1, 2, 2], 5.5)
    assert one.exemplars == {2: Exemplar((("trace_id", "a"),), 5.0, 2.0)}
    older, newer = LatestGaugeSeries(()), LatestGaugeSeries(())
    older.absorb([7.0, 10.0])
    newer.absorb([3.0, 20.0])
    older.absorb(newer.state())
    newer.absorb([9.0, 15.0])
    assert [older.value, newer.value] == [3.0, 3.0]
