"""Deadlines and failures: whatever one collector does, the others and the scrape continue."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.errors import CollectorError, NoDataError
from perfloop_exporter.scrape import CollectorSlot, Scraper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Reading


# Far below the 90 s of a hanging collector, far above the delays of a busy machine.
SOON = 30.0


class Fine:
    """Returns one number."""

    def __init__(self, name: str) -> None:
        self._family = gauge(name, "A number.")

    def collect(self) -> list[Reading]:
        """Return the number."""
        return [single(self._family, 1)]


class Hung(Fine):
    """Hangs until it is released, as on a dead NFS server."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.release = threading.Event()
        self.calls = 0

    def collect(self) -> list[Reading]:
        """Return the number, much later."""
        self.calls += 1
        self.release.wait(90)
        return super().collect()


class Failing:
    """Raises."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def collect(self) -> list[Reading]:
        """Raise."""
        raise self._error


class Late:
    """Raises in the middle of its readings."""

    def collect(self) -> Iterator[Reading]:
        """Yield half of the readings."""
        yield single(gauge("half", "Half."), 1)
        raise OSError("gone")


@pytest.fixture
def hung() -> Iterator[Hung]:
    """Return a collector that hangs until the test ends."""
    collector = Hung("hung")
    yield collector
    collector.release.set()


def self_metric(text: str, what: str) -> dict[str, str]:
    """Return the values of one metric about the collectors, by collector."""
    return dict(re.findall(rf'^node_scrape_collector_{what}\{{collector="(\w+)"\}} (\S+)$', text, re.MULTILINE))


def test_a_hung_collector_costs_its_own_metrics_and_nothing_else(hung: Hung) -> None:
    """The scrape ends at the deadline, the others are exported, success and the counter name the one that hung."""
    scraper = Scraper(
        [CollectorSlot("a", Fine("a"), 60), CollectorSlot("h", hung, 0.2), CollectorSlot("b", Fine("b"), 60)]
    )
    begin = time.monotonic()

    text = scraper.scrape()

    assert 0.2 <= time.monotonic() - begin < SOON
    assert "\na 1\n" in text
    assert "\nb 1\n" in text
    assert self_metric(text, "success") == {"a": "1", "h": "0", "b": "1"}
    assert self_metric(text, "timeouts_total") == {"a": "0", "h": "1", "b": "0"}
    assert float(self_metric(text, "duration_seconds")["h"]) >= 0.2


def test_a_hung_collector_is_not_started_again_and_comes_back(hung: Hung) -> None:
    """While it hangs, later scrapes neither wait for it nor start threads; once it returns it is exported again."""
    scraper = Scraper([CollectorSlot("h", hung, 0.2), CollectorSlot("b", Fine("b"), 60)])
    scraper.scrape()
    threads = threading.active_count()
    begin = time.monotonic()

    later = [scraper.scrape() for _ in range(20)]

    assert time.monotonic() - begin < SOON
    assert hung.calls == 1
    assert threading.active_count() <= threads + 1
    assert self_metric(later[-1], "timeouts_total") == {"h": "21", "b": "0"}
    hung.release.set()
    end = time.monotonic() + 30
    while self_metric(scraper.scrape(), "success")["h"] == "0" and time.monotonic() < end:
        time.sleep(0.02)
    assert "\nhung 1\n" in scraper.scrape()


def test_several_hung_collectors_wait_side_by_side() -> None:
    """Ten that hang cost one deadline, not ten."""
    hung = [Hung(f"h{number}") for number in range(10)]
    scraper = Scraper([CollectorSlot(f"h{number}", collector, 1.0) for number, collector in enumerate(hung)])
    begin = time.monotonic()

    text = scraper.scrape()

    assert time.monotonic() - begin < SOON
    assert set(self_metric(text, "success").values()) == {"0"}
    for collector in hung:
        collector.release.set()


def test_the_budget_of_the_scrape_ends_it_before_a_deadline(hung: Hung) -> None:
    """The timeout of Prometheus bounds the scrape, whatever the deadlines are."""
    scraper = Scraper([CollectorSlot("h", hung, 60), CollectorSlot("b", Fine("b"), 60)])
    begin = time.monotonic()

    text = scraper.scrape(budget_seconds=1.5)

    assert time.monotonic() - begin < SOON
    assert self_metric(text, "success") == {"h": "0", "b": "1"}


@pytest.mark.parametrize(
    ("error", "absent"),
    [
        (NoDataError("no sensors"), "1"),
        (CollectorError("damaged"), "0"),
        (ZeroDivisionError(), "0"),
        (MemoryError(), "0"),
        (RecursionError(), "0"),
    ],
)
def test_a_collector_that_raises_costs_its_own_metrics(error: Exception, absent: str) -> None:
    """Any exception sets success to 0; only a missing subject sets absent to 1."""
    text = Scraper([CollectorSlot("f", Failing(error), 60), CollectorSlot("b", Fine("b"), 60)]).scrape()

    assert self_metric(text, "success") == {"f": "0", "b": "1"}
    assert self_metric(text, "absent") == {"f": absent, "b": "0"}


def test_partial_readings_are_not_exported() -> None:
    """A collector that fails halfway exports nothing: missing series would look like a fall to zero."""
    text = Scraper([CollectorSlot("l", Late(), 60)]).scrape()

    assert "half" not in text


def test_a_failure_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Ten failing scrapes are one line in the log, the recovery another."""
    caplog.set_level("INFO", "perfloop_exporter.scrape")
    slot = CollectorSlot("f", Failing(CollectorError("damaged")), 60)
    scraper = Scraper([slot])
    for _ in range(10):
        scraper.scrape()
    slot.collector = Fine("f")
    scraper.scrape()

    assert [record.getMessage() for record in caplog.records] == ["collector failed", "collector recovered"]


def test_concurrent_scrapes_are_complete() -> None:
    """Eight threads scrape in parallel: each gets every collector."""
    scraper = Scraper([CollectorSlot(f"c{number}", Fine(f"c{number}"), 60) for number in range(20)])
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.extend(scraper.scrape() for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(texts) == 160
    assert all(list(self_metric(text, "success").values()) == ["1"] * 20 for text in texts)
