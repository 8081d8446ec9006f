"""What the guardian does for the components: on each event, and once in a round."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil

from perfloop.stack import disk, records, target_files
from perfloop.stack.components import PROMETHEUS_PAIR
from perfloop.stack.errors import StackError
from perfloop.stack.guardian import alerting, corruption, ends, hangs, incidents
from perfloop.stack.guardian.asking import answers
from perfloop.stack.guardian.pauses import Pauses
from perfloop.stack.guardian.work import Work
from perfloop_base.processes import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path

    from perfloop.stack.guardian.events import Event
    from perfloop.stack.supervision import Supervisor

_ENDED = {"PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF", "PROCESS_STATE_FATAL"}
_LOG_DELAY_SECONDS = 0.1  # supervisord writes its log line after it sends the event
_DOWN = {"STOPPED", "EXITED", "FATAL"}
_CALM_SECONDS = 60.0  # without an end, after which a component stays up
_HUNG_SECONDS = hangs.ROUND_SECONDS * hangs.OWN_ROUNDS


class Care:
    """What is known of the components, and what is done for them."""

    def __init__(self, home: Path, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        self._home = home
        self._supervisor = supervisor
        self._say = say
        self._running = records.load_running(home)
        self._pids = records.load_pids(home)
        self._hangs = hangs.Hangs()
        self._work = Work()
        self._ends = ends.Ends()
        self._incidents = incidents.Incidents()
        self._pauses = Pauses()
        self._down: set[str] = set()  # in the round before
        self._posting: Future[list[tuple[str, str]]] | None = None
        self._reasons: dict[str, str] = {}  # why this guardian ended a component, until the event of its end

    def hear(self, event: Event, name: str) -> None:
        """Take in one event of a component."""
        pid = event.payload.get("pid", "")
        if event.name in {"PROCESS_STATE_STARTING", "PROCESS_STATE_RUNNING"} and pid.isdigit():
            self._note_pids({name: int(pid)})
        if event.name in _ENDED:
            self._note_end(name, event.name)

    def make_round(
        self, processes: Mapping[str, Mapping[str, Any]], pool: ThreadPoolExecutor, *, punctual: bool
    ) -> None:
        """Look at everything once.

        Args:
            processes: what supervisord says of its programs.
            pool: asks the components, all at the same time.
            punctual: whether the round began in time; else what did not answer was waiting for the machine, as it was.
        """
        now = time.monotonic()
        self._keep_record()
        self._note_pids({name: int(process["pid"]) for name, process in processes.items() if process.get("pid")})
        for name in target_files.remove_stale(self._home):
            self._say(f"targets/{name} removed: its load test has ended without removing it")
        self._watch_disk()
        self._ask(processes, pool, now, punctual=punctual)
        self._end_wiped(processes)
        self._close_calm(processes, now)
        if records.find_lock_holder(self._home) is None:  # else a command starts them at this moment
            self._start_down(processes, now)
        self._notify(pool, now)

    def _keep_record(self) -> None:
        """Write the record of what runs again where it was damaged, or take in what a command has changed."""
        recorded = records.load_running(self._home)
        if recorded is not None:
            self._running = recorded
        elif self._running is not None and records.find_lock_holder(self._home) is None:
            with suppress(OSError):
                records.save_running(self._home, self._running)
                self._say("run/stack.json could not be read: written again")

    def _note_pids(self, found: Mapping[str, int]) -> None:
        before = dict(self._pids)
        for name, pid in found.items():
            with suppress(psutil.Error):
                self._pids[name] = identify(pid)
        if self._pids != before or not records.load_pids(self._home):
            with suppress(OSError):
                records.save_pids(self._home, self._pids)

    def _watch_disk(self) -> None:
        full = disk.find_trouble(self._home)
        if full:
            self._incidents.open(("disk", ""), incidents.disk_full(full), datetime.now(UTC))
        else:
            self._incidents.close(("disk", ""))

    def _ask(
        self, processes: Mapping[str, Mapping[str, Any]], pool: ThreadPoolExecutor, now: float, *, punctual: bool
    ) -> None:
        components = self._running.components if self._running else ()
        asked = [one for one in components if processes.get(one.name, {}).get("statename") == "RUNNING"]
        answered = list(pool.map(lambda one: answers(one.health_url, hangs.ANSWER_SECONDS), asked))
        crowded = os.getloadavg()[0] > hangs.CROWDED_LOAD * (os.cpu_count() or 1)
        pids = [int(processes[one.name]["pid"]) for one in asked]
        working = self._work.find_working(pids)
        seen = [
            hangs.Answer(one.name, pid, good, waiting=crowded and pid in working)
            for one, pid, good in zip(asked, pids, answered, strict=True)
        ]
        for one in seen:
            if one.answered:
                self._incidents.close(("unresponsive", one.name))
        for one in self._hangs.judge([one for one in seen if one.answered or punctual], now):
            rounds = hangs.rounds_until_hung(one.name)
            reason = f"it did not answer {rounds} times in a row, for {rounds * hangs.ROUND_SECONDS:.0f} s"
            self._end(one.name, one.pid, reason)
            if rounds == hangs.OWN_ROUNDS:
                self._incidents.open(
                    ("unresponsive", one.name), incidents.unresponsive(one.name, _HUNG_SECONDS), datetime.now(UTC)
                )

    def _end(self, name: str, pid: int, reason: str) -> None:
        """End a component and its own processes at once: one that is stopped or deadlocked takes no other signal."""
        self._reasons[name] = reason
        self._say(f"{name}: {reason}; ending it")
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)

    def _end_wiped(self, processes: Mapping[str, Mapping[str, Any]]) -> None:
        running = {name for name, process in processes.items() if process.get("statename") == "RUNNING"}
        for name in corruption.find_wiped(self._home, running):
            (self._home / name).mkdir(mode=0o700, exist_ok=True)
            if name in PROMETHEUS_PAIR:
                note = f"{name}: its data was removed while it ran: started again with none"
                self._end(name, int(processes[name]["pid"]), "its data was removed while it ran")
                self._note(note)

    def _start_down(self, processes: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Start what is down though it should run: given up by supervisord, or left by a command that was killed.

        What was not down in the round before is left to supervisord, which may be starting it at this moment.
        """
        down_before, self._down = self._down, set()
        for component in self._running.components if self._running else ():
            state = processes.get(component.name, {}).get("statename")
            if state in _DOWN:
                self._down.add(component.name)
            if component.name not in self._down & down_before or not self._pauses.is_over(component.name, now):
                continue
            pause = self._pauses.begin(component.name, now)
            self._say(f"{component.name} is {str(state).lower()}: starting it; next try in {pause:.0f} s if that fails")
            try:
                self._supervisor.start(component.name)
            except StackError as error:
                self._say(str(error))

    def _note_end(self, name: str, event: str) -> None:
        time.sleep(_LOG_DELAY_SECONDS)
        now = time.monotonic()
        reason = self._reasons.pop(name, None) or ends.read_reason(self._home, name)
        self._ends.note(name, now)
        if event == "PROCESS_STATE_FATAL":
            outcome = "too many ends in a row: it is tried again after a pause"
        else:
            with suppress(OSError):
                records.save_restart(self._home, name, reason)
            count = records.load_restarts(self._home).get(name, 0)
            outcome = f"starting it again, restart {count}"
        self._judge_data(name, reason)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        ends.write_into_log(self._home, name, f"{moment} perfloop: {name} ended ({reason}); {outcome}")
        many = self._ends.count(name, now)
        if many >= ends.MANY:
            minutes = round(ends.WINDOW_SECONDS / 60)
            incident = incidents.restarting(name, many, minutes, reason)
            self._incidents.open(("restarting", name), incident, datetime.now(UTC))

    def _judge_data(self, name: str, reason: str) -> None:
        """Move data that a component could not read aside, before supervisord starts it again."""
        log = ends.read_tail(self._home / "logs" / f"{name}.log")
        moved = corruption.move_aside(self._home, corruption.find_refused(name, log, reason), datetime.now(UTC))
        if moved is None:
            return
        state, target = moved
        self._note(f"{name}: its {state.name} {corruption.MOVED} {target}, and it begins with new data")
        incident = incidents.moved_aside(name, state.name, str(target))
        self._incidents.open(("aside", f"{name}/{state.name}"), incident, datetime.now(UTC))

    def _note(self, note: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        self._say(note)
        ends.write_into_log(self._home, note.partition(":")[0], f"{moment} perfloop: {note}")
        with suppress(OSError):
            records.save_note(self._home, f"{moment} {note}")

    def _close_calm(self, processes: Mapping[str, Mapping[str, Any]], now: float) -> None:
        for name, process in processes.items():
            last = self._ends.last(name, now)
            if process.get("statename") == "RUNNING" and (last is None or last > _CALM_SECONDS):
                self._incidents.close(("restarting", name))
                self._pauses.forget(name)
                for state in corruption.STATES:
                    if state.component == name:
                        self._incidents.close(("aside", f"{name}/{state.name}"))

    def _notify(self, pool: ThreadPoolExecutor, now: float) -> None:
        """Post what is due, beside the rounds: an Alertmanager that hangs must not hold them up."""
        if self._posting is not None:
            if not self._posting.done():
                return
            self._incidents.note_posted(self._posting.result(), now)
        components = self._running.components if self._running else ()
        urls = [one.url for one in components if one.name.startswith("alertmanager")]
        self._posting = pool.submit(_post, urls, self._incidents.find_due(now, datetime.now(UTC)))


def _post(urls: list[str], due: Mapping[tuple[str, str], dict[str, Any]]) -> list[tuple[str, str]]:
    """Post alerts to each Alertmanager of a cluster, since one may be down; return the keys if one took them."""
    taken = [alerting.post(url, due.values()) for url in urls] if due else []
    return list(due) if any(taken) else []
