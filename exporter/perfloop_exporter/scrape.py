"""One scrape: every collector runs under its own deadline, and is timed and assessed here, never in the collector.

The collectors of a scrape run one after the other on one thread, which is cheapest. Only when one is slow does another
thread take over the rest, so that a hung driver delays nothing but its own metrics.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Aside, Collector, Renderer, counter, gauge
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop_exporter.collectors.families import Family

DURATION = gauge("node_scrape_collector_duration_seconds", "How long a collector took.", "collector")
SUCCESS = gauge("node_scrape_collector_success", "Whether a collector returned its metrics.", "collector")
ABSENT = gauge("node_scrape_collector_absent", "Whether the machine does not have what a collector reads.", "collector")
TIMEOUTS = counter(
    "node_scrape_collector_timeouts_total", "Scrapes that did not wait for a collector past its deadline.", "collector"
)
UNREADABLE = gauge(
    "node_scrape_collector_unreadable",
    "Files, lines and values that a collector could not read and left out.",
    "collector",
)

# A collector that runs longer than this keeps its thread, and the remaining ones continue on another.
PATIENCE_SECONDS = 0.05
TYPE_LINE = re.compile(r"^# TYPE (\S+)", re.MULTILINE)

log = logging.getLogger(__name__)


class CollectorSlot:
    """One collector with its state between scrapes."""

    def __init__(self, name: str, collector: Collector, deadline_seconds: float) -> None:
        self.name = name
        self.collector = collector
        self.deadline_seconds = deadline_seconds
        self.renderer = Renderer()
        self.timeouts = 0
        self.busy_since: float | None = None
        self.failing = False
        self.losing = False


class Job:
    """One collector's part of one scrape; `seconds` is None until it has finished."""

    def __init__(self, slot: CollectorSlot) -> None:
        self.slot = slot
        self.started: float | None = None
        self.seconds: float | None = None
        self.text = ""
        self.aside = Aside()
        self.error: Exception | None = None

    def run(self) -> None:
        """Collect and render; never raises."""
        self.started = self.slot.busy_since = time.perf_counter()
        try:
            self.text = self.slot.renderer.render(self.slot.collector.collect(), self.aside)
        except Exception as error:  # noqa: BLE001  # the edge of the scrape: no collector can break it
            self.error = error
        # In this order: whoever sees the seconds may run the collector again.
        self.slot.busy_since = None
        self.seconds = time.perf_counter() - self.started


class Outcome(NamedTuple):
    """The state of a job when the scrape stopped waiting; the job itself may still finish after that."""

    slot: CollectorSlot
    seconds: float
    timed_out: bool
    error: Exception | None
    text: str
    aside: Aside

    @property
    def unreadable(self) -> int:
        """How many parts the collector left out."""
        return sum(loss.parts for loss in self.aside.losses)


class Worker:
    """A thread that runs jobs; when a collector hangs, it is not waited for and ends with the collector."""

    def __init__(self) -> None:
        self._rounds: SimpleQueue[tuple[deque[Job], threading.Event, Callable[[Worker], None]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="collect", daemon=True).start()

    def take(self, jobs: deque[Job], done: threading.Event, on_idle: Callable[[Worker], None]) -> None:
        """Run jobs until none is left, call `on_idle`, then set `done`."""
        self._rounds.put((jobs, done, on_idle))

    def dismiss(self) -> None:
        """End the thread when it is idle."""
        self._rounds.put(None)

    def _run(self) -> None:
        while (task := self._rounds.get()) is not None:
            jobs, done, on_idle = task
            while jobs:
                try:
                    job = jobs.popleft()
                except IndexError:  # another worker was quicker
                    break
                job.run()
            on_idle(self)
            done.set()


class Scraper:
    """Runs collectors and returns their metrics, together with metrics about the collectors themselves.

    Args:
        slots: The collectors that a scrape may choose from.
        own: The exporter's own collectors, which run in every scrape and are not assessed.
    """

    def __init__(self, slots: Iterable[CollectorSlot], own: Iterable[CollectorSlot] = ()) -> None:
        self._slots = {slot.name: slot for slot in slots}
        self._own = tuple(own)
        self._renderer = Renderer()
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._refused = False

    def prepare(self) -> None:
        """Start the thread of the first scrape now, while one can be started."""
        if not self._idle:
            self._idle.append(Worker())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the collectors."""
        return tuple(self._slots)

    def scrape(self, names: Iterable[str] | None = None, budget_seconds: float = float("inf")) -> str:
        """Return the exposition of the collectors named (all by default) and of the exporter's own.

        Collectors that have not finished after `budget_seconds` are left out, like those past their own deadline.
        """
        with self._lock:
            asked = [self._slots[name] for name in (self._slots if names is None else names)]
            jobs = [Job(slot) for slot in (*asked, *self._own)]
            self._run([job for job in jobs if job.slot.busy_since is None], budget_seconds)
            outcomes = [_outcome(job) for job in jobs]
            for outcome in outcomes:
                _log_change(outcome)
            text = "".join(outcome.text for outcome in outcomes) + self._self_metrics(outcomes[: len(asked)])
            return text + _late_text(outcomes, text)

    def _run(self, jobs: list[Job], budget_seconds: float) -> None:
        waiting = deque(jobs)
        begin = time.perf_counter()
        for job in jobs:  # marked before any runs, so that no later scrape starts the same collector in parallel
            job.slot.busy_since = begin
        end = begin + budget_seconds
        done = threading.Event()
        workers = int(self._send(waiting, done))
        while not done.wait(PATIENCE_SECONDS) or not all(job.seconds is not None for job in jobs):
            done.clear()
            now = time.perf_counter()
            if now >= end or all(_is_settled(job, now) for job in jobs):
                break
            if waiting and sum(_is_slow(job, now) for job in jobs) >= workers:
                if self._send(waiting, done):
                    workers += 1
                elif all(job.started is None or _is_settled(job, now) for job in jobs):
                    break  # what has not begun has no thread: the scrape goes without it
        _release(waiting)

    def _send(self, jobs: deque[Job], done: threading.Event) -> bool:
        """Have a thread run the jobs; return whether there is one."""
        try:
            worker = self._idle.pop() if self._idle else Worker()
        except RuntimeError as error:  # the limit of the machine or of the container
            if not self._refused:
                self._refused = True
                log.error("cannot start a thread, collectors are left out", extra={"err": str(error)})  # noqa: TRY400  # no trace
            return False
        self._refused = False
        worker.take(jobs, done, self._park)
        return True

    def _park(self, worker: Worker) -> None:
        # One worker is kept for the next scrape; the others were only started because a collector was slow.
        if self._idle:
            worker.dismiss()
        else:
            self._idle.append(worker)

    def _self_metrics(self, outcomes: list[Outcome]) -> str:
        names = [(outcome.slot.name,) for outcome in outcomes]
        columns: dict[Family, list[float]] = {
            DURATION: [outcome.seconds for outcome in outcomes],
            SUCCESS: [int(not outcome.timed_out and outcome.error is None) for outcome in outcomes],
            ABSENT: [int(isinstance(outcome.error, NoDataError)) for outcome in outcomes],
            TIMEOUTS: [outcome.slot.timeouts for outcome in outcomes],
            UNREADABLE: [outcome.unreadable for outcome in outcomes],
        }
        return self._renderer.render(
            (family, list(zip(names, column, strict=True))) for family, column in columns.items()
        )


def _late_text(outcomes: list[Outcome], text: str) -> str:
    """Return what the collectors write after all others, whose families are in the text."""
    late = [(outcome.slot.renderer, item) for outcome in outcomes for item in outcome.aside.late]
    if not late:
        return ""
    names = frozenset(TYPE_LINE.findall(text))
    return "".join(renderer.render(item.choose(names)) for renderer, item in late)


def _release(waiting: deque[Job]) -> None:
    """Free the collectors that did not run; one that a worker takes at this moment stays busy."""
    while waiting:
        try:
            waiting.pop().slot.busy_since = None
        except IndexError:
            return


def _is_slow(job: Job, now: float) -> bool:
    return job.seconds is None and job.started is not None and now - job.started >= PATIENCE_SECONDS


def _is_settled(job: Job, now: float) -> bool:
    if job.seconds is not None:
        return True
    return job.started is not None and now - job.started >= job.slot.deadline_seconds


def _outcome(job: Job) -> Outcome:
    slot = job.slot
    if job.seconds is not None:
        return Outcome(slot, job.seconds, timed_out=False, error=job.error, text=job.text, aside=job.aside)
    since = slot.busy_since
    seconds = 0.0 if since is None else time.perf_counter() - since
    return Outcome(slot, seconds, timed_out=True, error=None, text="", aside=Aside())


def _log_change(outcome: Outcome) -> None:
    """Count a timeout; log a failure once when it begins, and once when the collector has recovered."""
    slot, error = outcome.slot, outcome.error
    _log_losses(outcome)
    slot.timeouts += outcome.timed_out
    was_failing, slot.failing = slot.failing, outcome.timed_out or error is not None
    if slot.failing == was_failing:
        return
    where = {"collector": slot.name}
    if outcome.timed_out:
        log.error("collector exceeded its deadline", extra=where | {"deadline_seconds": slot.deadline_seconds})
    elif error is None:
        log.info("collector recovered", extra=where)
    elif isinstance(error, NoDataError):
        log.debug("collector has no data", extra=where | {"err": str(error)})
    elif isinstance(error, CollectorError):
        log.error("collector failed", extra=where | {"err": str(error)})
    else:
        log.error("collector raised an unexpected exception", extra=where, exc_info=error)


def _log_losses(outcome: Outcome) -> None:
    """Log once that a collector leaves something out, and once that it does no longer."""
    slot, losses = outcome.slot, outcome.aside.losses
    if outcome.timed_out or outcome.error is not None or slot.losing == bool(losses):
        return
    slot.losing = bool(losses)
    if losses:
        where = {"collector": slot.name, "err": losses[0].problem, "unreadable": outcome.unreadable}
        log.warning("collector leaves out what it cannot read", extra=where)
    else:
        log.info("collector leaves nothing out any more", extra={"collector": slot.name})
