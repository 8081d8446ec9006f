"""Tallies add up."""

from __future__ import annotations

from perfloop_loadgen.samples.tally import Tally, sum_of


def _tally() -> Tally:
    tally = Tally()
    tally.on_time.record(1_000_000, 4)
    tally.record_behind(intended=0, started=20_000_000, ended=50_000_000)
    tally.outcomes["ok"] = 4
    tally.outcomes["timeout"] = 1
    tally.bytes_received = 12
    return tally


def test_a_late_start_has_two_times():
    """Response counts from the intended start, service from the actual one, and the lag is the difference."""
    tally = _tally()
    assert abs(tally.response.quantile_seconds(1.0) - 0.05) < 5e-5
    assert abs(tally.service.quantile_seconds(1.0) - 0.03) < 3e-5
    assert abs(tally.lag.quantile_seconds(1.0) - 0.02) < 2e-5
    assert tally.late == 1


def test_requests_on_time_have_no_lag():
    """The lag of those on time is zero, and they are counted."""
    tally = _tally()
    assert tally.lag.count == 5
    assert tally.lag.quantile_seconds(0.5) == 0


def test_the_wire_form_loses_nothing():
    """A tally sent to another process and added there is the tally added here."""
    here = sum_of([_tally(), _tally()])
    there = sum_of([Tally.from_wire(_tally().to_wire()), _tally()])
    assert here.to_wire() == there.to_wire()
    assert here.requests == 10
    assert here.errors == 2
