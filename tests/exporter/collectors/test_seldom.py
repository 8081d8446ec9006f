"""A collector that found nothing is not run at every scrape."""

from __future__ import annotations

import pytest

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.collectors.seldom import RELOOK_SECONDS, Seldom
from perfloop_exporter.errors import CollectorError, NoDataError

READING = single(gauge("a", "A."), 1)


class Scripted:
    """Answers each run with the next error, and with a reading once there is none left."""

    def __init__(self, *errors: CollectorError) -> None:
        self._errors = list(errors)
        self.runs = 0

    def collect(self):
        """Return the reading, or raise the next error."""
        self.runs += 1
        if self._errors:
            raise self._errors.pop(0)
        return [READING]


def test_where_there_is_nothing_the_next_look_is_a_minute_later() -> None:
    """Scrapes in between raise the same NoDataError without a run."""
    clock = [0.0]
    inner = Scripted(NoDataError("no array"))
    outer = Seldom(inner, lambda: clock[0])
    for now in (0.0, 15.0, RELOOK_SECONDS - 0.1):
        clock[0] = now
        with pytest.raises(NoDataError, match="no array"):
            outer.collect()
    assert inner.runs == 1

    clock[0] = RELOOK_SECONDS
    assert outer.collect() == [READING]


def test_what_failed_or_was_found_is_read_at_every_scrape() -> None:
    """Only the absence of the subject is remembered."""
    clock = [0.0]
    inner = Scripted(NoDataError("none"), CollectorError("damaged"))
    outer = Seldom(inner, lambda: clock[0])
    with pytest.raises(NoDataError):
        outer.collect()
    clock[0] = RELOOK_SECONDS
    with pytest.raises(CollectorError, match="damaged"):
        outer.collect()
    assert outer.collect() == outer.collect() == [READING]
    assert inner.runs == 4
