"""Deadlines and failures: what a collector does, the others and the scrape go on."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.errors import CollectorError, NoDataError
from perfloop_exporter.scrape import Scraper, Station

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Reading


# Far below the ninety seconds that something hangs, far above what a busy machine adds.
SOON = 30.0


class Fine:
    """Tells one number."""

    def __init__(self, name: str) -> None:
        self._family = gauge(name, "A number.")

    def collect(self) -> list[Reading]:
        """The number."""
        return [single(self._family, 1)]


class Hung(Fine):
    """Hangs until it is let go, as on a dead NFS server."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.let_go = threading.Event()
        self.calls = 0

    def collect(self) -> list[Reading]:
        """The number, some day."""
        self.calls += 1
        self.let_go.wait(90)
        return super().collect()


class Failing:
    """Raises."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def collect(self) -> list[Reading]:
        """Nothing."""
        raise self._error


class Late:
    """Raises in the middle of what it tells."""

    def collect(self) -> Iterator[Reading]:
        """Half of it."""
        yield single(gauge("half", "Half."), 1)
        raise OSError("gone")


@pytest.fixture
def hung() -> Iterator[Hung]:
    """A collector that hangs; let go when the test ends."""
    collector = Hung("hung")
    yield collector
    collector.let_go.set()


def judged(text: str, what: str) -> dict[str, str]:
    """A judgement by collector."""
    return dict(re.findall(rf'^node_scrape_collector_{what}\{{collector="(\w+)"\}} (\S+)$', text, re.MULTILINE))


def test_a_hung_collector_costs_its_own_metrics_and_nothing_else(hung: Hung) -> None:
    """The scrape ends at the deadline, the others are told, success and the counter say which one hung."""
    scraper = Scraper([Station("a", Fine("a"), 60), Station("h", hung, 0.2), Station("b", Fine("b"), 60)])
    begin = time.monotonic()

    text = scraper.scrape()

    assert 0.2 <= time.monotonic() - begin < SOON
    assert "\na 1\n" in text
    assert "\nb 1\n" in text
    assert judged(text, "success") == {"a": "1", "h": "0", "b": "1"}
    assert judged(text, "timeouts_total") == {"a": "0", "h": "1", "b": "0"}
    assert float(judged(text, "duration_seconds")["h"]) >= 0.2


def test_a_hung_collector_is_not_started_again_and_comes_back(hung: Hung) -> None:
    """While it hangs later scrapes do not wait for it nor pile up threads; once free it is told again."""
    scraper = Scraper([Station("h", hung, 0.2), Station("b", Fine("b"), 60)])
    scraper.scrape()
    threads = threading.active_count()
    begin = time.monotonic()

    later = [scraper.scrape() for _ in range(20)]

    assert time.monotonic() - begin < SOON
    assert hung.calls == 1
    assert threading.active_count() <= threads + 1
    assert judged(later[-1], "timeouts_total") == {"h": "21", "b": "0"}
    hung.let_go.set()
    end = time.monotonic() + 30
    while judged(scraper.scrape(), "success")["h"] == "0" and time.monotonic() < end:
        time.sleep(0.02)
    assert "\nhung 1\n" in scraper.scrape()


def test_several_hung_collectors_wait_side_by_side() -> None:
    """Ten that hang cost one deadline, not ten."""
    hung = [Hung(f"h{number}") for number in range(10)]
    scraper = Scraper([Station(f"h{number}", collector, 1.0) for number, collector in enumerate(hung)])
    begin = time.monotonic()

    text = scraper.scrape()

    assert time.monotonic() - begin < SOON
    assert set(judged(text, "success").values()) == {"0"}
    for collector in hung:
        collector.let_go.set()


def test_the_budget_of_the_scrape_ends_it_before_a_deadline(hung: Hung) -> None:
    """What Prometheus is ready to wait for bounds the scrape, whatever the deadlines are."""
    scraper = Scraper([Station("h", hung, 60), Station("b", Fine("b"), 60)])
    begin = time.monotonic()

    text = scraper.scrape(budget_seconds=1.5)

    assert time.monotonic() - begin < SOON
    assert judged(text, "success") == {"h": "0", "b": "1"}


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
    """Any exception turns success to 0; only the absence of the subject is told as such."""
    text = Scraper([Station("f", Failing(error), 60), Station("b", Fine("b"), 60)]).scrape()

    assert judged(text, "success") == {"f": "0", "b": "1"}
    assert judged(text, "absent") == {"f": absent, "b": "0"}


def test_half_of_what_a_collector_tells_is_not_told() -> None:
    """A collector that fails in the middle tells nothing: half a truth would look like a fall to zero."""
    text = Scraper([Station("l", Late(), 60)]).scrape()

    assert "half" not in text


def test_a_failure_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Ten failing scrapes are one line in the log, the recovery another."""
    caplog.set_level("INFO", "exporter.scrape")
    station = Station("f", Failing(CollectorError("damaged")), 60)
    scraper = Scraper([station])
    for _ in range(10):
        scraper.scrape()
    station.collector = Fine("f")
    scraper.scrape()

    assert [record.getMessage() for record in caplog.records] == ["collector failed", "collector is well again"]


def test_scrapes_at_the_same_time_are_all_whole() -> None:
    """Eight threads scrape at once: each gets everything."""
    scraper = Scraper([Station(f"c{number}", Fine(f"c{number}"), 60) for number in range(20)])
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.extend(scraper.scrape() for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(texts) == 160
    assert all(list(judged(text, "success").values()) == ["1"] * 20 for text in texts)
