"""One scrape: every collector under its own deadline, timed and judged here, never in the collector."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Collector, Renderer, counter, gauge
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop_exporter.collectors.families import Family

DURATION = gauge("node_scrape_collector_duration_seconds", "How long a collector took.", "collector")
SUCCESS = gauge("node_scrape_collector_success", "Whether a collector told its metrics.", "collector")
ABSENT = gauge("node_scrape_collector_absent", "Whether the machine lacks what a collector looks at.", "collector")
TIMEOUTS = counter(
    "node_scrape_collector_timeouts_total", "Scrapes that did not wait for a collector past its deadline.", "collector"
)

# A collector that is still at work after this long keeps its thread, and the others go on in another.
PATIENCE_SECONDS = 0.05

log = logging.getLogger("exporter.scrape")


class Station:
    """One collector with what the scrape knows of it."""

    def __init__(self, name: str, collector: Collector, deadline_seconds: float) -> None:
        self.name = name
        self.collector = collector
        self.deadline_seconds = deadline_seconds
        self.renderer = Renderer()
        self.timeouts = 0
        self.busy_since: float | None = None
        self.failing = False


class Job:
    """One collector's part of one scrape."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.started: float | None = None
        self.seconds: float | None = None
        self.text = ""
        self.error: Exception | None = None

    def run(self) -> None:
        """Collect and render; whatever goes wrong stays in here."""
        self.started = self.station.busy_since = time.perf_counter()
        try:
            self.text = self.station.renderer.render(self.station.collector.collect())
        except Exception as error:  # noqa: BLE001  # the edge of the scrape: no collector can break it
            self.error = error
        # In this order: whoever sees the seconds may run the collector again.
        self.station.busy_since = None
        self.seconds = time.perf_counter() - self.started


class Outcome(NamedTuple):
    """How a job stood when the scrape stopped waiting; a job may still finish after that."""

    station: Station
    seconds: float
    timed_out: bool
    error: Exception | None
    text: str


class Worker:
    """A thread that runs jobs; one that hangs is left alone and its thread ends with it."""

    def __init__(self) -> None:
        self._rounds: SimpleQueue[tuple[deque[Job], threading.Event, Callable[[Worker], None]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="collect", daemon=True).start()

    def take(self, jobs: deque[Job], done: threading.Event, home: Callable[[Worker], None]) -> None:
        """Run jobs until none is left, call home, then set done."""
        self._rounds.put((jobs, done, home))

    def dismiss(self) -> None:
        """End the thread when it has nothing to do."""
        self._rounds.put(None)

    def _run(self) -> None:
        while (task := self._rounds.get()) is not None:
            jobs, done, home = task
            while jobs:
                try:
                    job = jobs.popleft()
                except IndexError:  # another worker was quicker
                    break
                job.run()
            home(self)
            done.set()


class Scraper:
    """Runs the collectors and tells what they told, and how they fared."""

    def __init__(self, stations: Iterable[Station], own: Iterable[Station] = ()) -> None:
        self._stations = {station.name: station for station in stations}
        self._own = tuple(own)
        self._renderer = Renderer()
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The collectors there are."""
        return tuple(self._stations)

    def scrape(self, names: Iterable[str] | None = None, budget_seconds: float = float("inf")) -> str:
        """The exposition of the collectors named, and of the exporter's own, within the budget whatever they do."""
        with self._lock:
            asked = [self._stations[name] for name in (self._stations if names is None else names)]
            jobs = [Job(station) for station in (*asked, *self._own)]
            self._run([job for job in jobs if job.station.busy_since is None], budget_seconds)
            outcomes = [_outcome(job) for job in jobs]
            for outcome in outcomes:
                _tell(outcome)
            return "".join(outcome.text for outcome in outcomes) + self._judgement(outcomes[: len(asked)])

    def _run(self, jobs: list[Job], budget_seconds: float) -> None:
        waiting = deque(jobs)
        begin = time.perf_counter()
        for job in jobs:  # taken from now on, so that no later scrape starts the same collector beside it
            job.station.busy_since = begin
        end = begin + budget_seconds
        done = threading.Event()
        self._send(waiting, done)
        workers = 1
        while not done.wait(PATIENCE_SECONDS) or not all(job.seconds is not None for job in jobs):
            done.clear()
            now = time.perf_counter()
            if now >= end or all(_is_settled(job, now) for job in jobs):
                break
            if waiting and sum(_is_slow(job, now) for job in jobs) >= workers:
                self._send(waiting, done)
                workers += 1
        _give_back(waiting)

    def _send(self, jobs: deque[Job], done: threading.Event) -> None:
        worker = self._idle.pop() if self._idle else Worker()
        worker.take(jobs, done, self._welcome)

    def _welcome(self, worker: Worker) -> None:
        # One worker is kept for the next scrape; the others were called because one was slow.
        if self._idle:
            worker.dismiss()
        else:
            self._idle.append(worker)

    def _judgement(self, outcomes: list[Outcome]) -> str:
        names = [(outcome.station.name,) for outcome in outcomes]
        columns: dict[Family, list[float]] = {
            DURATION: [outcome.seconds for outcome in outcomes],
            SUCCESS: [int(not outcome.timed_out and outcome.error is None) for outcome in outcomes],
            ABSENT: [int(isinstance(outcome.error, NoDataError)) for outcome in outcomes],
            TIMEOUTS: [outcome.station.timeouts for outcome in outcomes],
        }
        return self._renderer.render(
            (family, list(zip(names, column, strict=True))) for family, column in columns.items()
        )


def _give_back(waiting: deque[Job]) -> None:
    """Free the collectors whose turn did not come; one that a worker took in this moment stays taken."""
    while waiting:
        try:
            waiting.pop().station.busy_since = None
        except IndexError:
            return


def _is_slow(job: Job, now: float) -> bool:
    return job.seconds is None and job.started is not None and now - job.started >= PATIENCE_SECONDS


def _is_settled(job: Job, now: float) -> bool:
    if job.seconds is not None:
        return True
    return job.started is not None and now - job.started >= job.station.deadline_seconds


def _outcome(job: Job) -> Outcome:
    station = job.station
    if job.seconds is not None:
        return Outcome(station, job.seconds, timed_out=False, error=job.error, text=job.text)
    since = station.busy_since
    seconds = 0.0 if since is None else time.perf_counter() - since
    return Outcome(station, seconds, timed_out=True, error=None, text="")


def _tell(outcome: Outcome) -> None:
    """Count and log what went wrong: once when it begins, once when it ends."""
    station, error = outcome.station, outcome.error
    station.timeouts += outcome.timed_out
    was_failing, station.failing = station.failing, outcome.timed_out or error is not None
    if station.failing == was_failing:
        return
    where = {"collector": station.name}
    if outcome.timed_out:
        log.error("collector passed its deadline", extra=where | {"deadline_seconds": station.deadline_seconds})
    elif error is None:
        log.info("collector is well again", extra=where)
    elif isinstance(error, NoDataError):
        log.debug("collector has nothing to tell", extra=where | {"why": str(error)})
    elif isinstance(error, CollectorError):
        log.error("collector failed", extra=where | {"why": str(error)})
    else:
        log.error("collector failed by a mistake in it", extra=where, exc_info=error)
