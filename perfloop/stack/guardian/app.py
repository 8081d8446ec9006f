"""The guardian's loop: events as they come, and a round of checks every few seconds."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack import condition, records
from perfloop.stack.guardian import ends
from perfloop.stack.guardian.care import Care
from perfloop.stack.guardian.events import Listener, SupervisorGoneError
from perfloop.stack.guardian.hangs import LATE_SECONDS, OWN_ROUNDS, ROUND_SECONDS
from perfloop.stack.guardian.pulse import start_pulse
from perfloop.stack.guardian.resurrection import resurrect
from perfloop.stack.strays import GUARDIAN
from perfloop.stack.supervision import Supervisor
from perfloop_base.terminal import warn
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from perfloop.stack.guardian.events import Event
    from perfloop.stack.guardian.pulse import Pulse

_SUPERVISOR_SECONDS = 2.0
# Between a failure and the end of the supervisord that it comes from.
_ORPHAN_SECONDS = 2.0


class Guardian:
    """Listens to one supervisord until that is gone."""

    def __init__(self, home: Path, listener: Listener, pulse: Pulse) -> None:
        self._home = home
        self._listener = listener
        self._pulse = pulse
        self._supervisor = Supervisor(home, timeout=_SUPERVISOR_SECONDS)
        self._supervisord = os.getppid()
        self._silent_rounds = 0
        self._care = Care(home, self._supervisor, say)

    def run(self) -> None:
        """Take events and make rounds.

        Raises:
            SupervisorGoneError: supervisord has ended.
        """
        self._listener.begin()
        due = time.monotonic()
        with ThreadPoolExecutor(max_workers=16) as pool:
            while True:
                event = self._listener.wait(due - time.monotonic())
                if event is not None:
                    self._take(event)
                    self._listener.done()
                late = time.monotonic() - due
                if late >= 0:
                    self._make_round(pool, punctual=late < LATE_SECONDS)
                    due = max(due + ROUND_SECONDS, time.monotonic())

    def has_lost_supervisord(self, seconds: float = _ORPHAN_SECONDS) -> bool:
        """Return whether supervisord has ended, or does within `seconds`: an answer may break off before that."""
        end = time.monotonic() + seconds
        while os.getppid() == self._supervisord:
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    def _take(self, event: Event) -> None:
        name = event.payload.get("processname", "")
        if name == GUARDIAN or records.is_stopping(self._home):
            return
        try:
            self._care.hear(event, name)
        except Exception as error:  # noqa: BLE001 - the edge of the loop: whatever it is, the next event is taken
            say(f"{event.name} of {name} could not be dealt with: {error!r}")

    def _make_round(self, pool: ThreadPoolExecutor, *, punctual: bool) -> None:
        self._pulse.beat()
        with suppress(OSError):
            condition.save_pulse(self._home)
        processes = self._supervisor.ask_processes()
        if processes is None:
            self._miss_supervisord()
            return
        self._silent_rounds = 0
        if records.is_stopping(self._home):
            return
        try:
            self._care.make_round(processes, pool, punctual=punctual)
        except Exception as error:  # noqa: BLE001 - the edge of the loop: whatever it is, the next round is made
            say(f"a round of checks failed: {error!r}")

    def _miss_supervisord(self) -> None:
        """Count a round in which supervisord did not answer; one that hangs is ended, and then brought back."""
        self._silent_rounds += 1
        if self._silent_rounds == OWN_ROUNDS and os.getppid() == self._supervisord:
            say(f"supervisord did not answer {OWN_ROUNDS} times in a row: ending it")
            os.kill(self._supervisord, signal.SIGKILL)
            self._silent_rounds = 0


def say(text: str) -> None:
    """Write a line into the guardian's own log; on a full disk it is left out."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError, ValueError):
        warn(f"{moment} {visible(text)}")


def _write_own_log(home: Path) -> int:
    """Make standard error the log file: supervisord read it and is gone, and a write would end the writer."""
    try:
        log = os.open(home / "logs" / f"{GUARDIAN}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        log = os.open(os.devnull, os.O_WRONLY)
    os.dup2(log, 2)
    return log


def _exit(*_: object) -> None:
    sys.exit(0)


def main() -> int:
    """Listen until supervisord is gone, and bring it back unless it was stopped."""
    home = Path(sys.argv[1])
    pulse = start_pulse()
    signal.signal(signal.SIGTERM, _exit)
    guardian = Guardian(home, Listener(0, 1), pulse)
    try:
        guardian.run()
    except SupervisorGoneError:
        pulse.stop()
    except Exception as error:  # noqa: BLE001 - the edge of the program: supervisord starts it again, if it still runs
        say(f"the guardian failed: {error!r}")
        if not guardian.has_lost_supervisord():
            return 1
        pulse.stop()
    log = _write_own_log(home)
    if records.is_stopping(home):
        return 0
    say("supervisord has ended and nobody asked for it: bringing the stack back")
    with suppress(OSError):
        records.save_restart(home, "supervisord", "it was killed")
    resurrect(home, say, log)
    say("the stack is back")
    ends.write_into_log(home, "supervisord", "perfloop: brought back by the guardian")
    return 0
