"""The guardian: notified by supervisord of every component that ends, it writes why into that component's log.

It counts the restarts, and it outlives supervisord: when that dies without `perfloop down`, the guardian ends the
orphans and brings the stack back. It speaks supervisord's event listener protocol over standard input and output.

Why a component ended is read from supervisord's log: an event says whether the end was expected, but neither the exit
status nor the signal, and wait(2) answers the parent alone. Only the line `exited: NAME (REASON)` has it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from perfloop.stack import records
from perfloop.stack.supervision import GUARDIAN

_ENDED = {"PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF", "PROCESS_STATE_FATAL"}
_LOG_TAIL_BYTES = 64 * 1024
_REASON_WAIT_SECONDS = 0.5
_ORPHAN_GRACE_SECONDS = 3.0


def parse_tokens(line: str) -> dict[str, str]:
    """Return the `key:value` words of an event's header or payload."""
    return dict(word.split(":", 1) for word in line.split() if ":" in word)


def find_reason(log: str, name: str) -> str | None:
    """Return what supervisord's log last said of the end of `name`: `terminated by SIGKILL; not expected`."""
    found = re.findall(rf"exited: {re.escape(name)} \(([^\n]*)\)", log)
    return found[-1] if found else None


def _read_reason(home: Path, name: str) -> str:
    """Read the reason from supervisord's log, which is written just after the event is sent."""
    deadline = time.monotonic() + _REASON_WAIT_SECONDS
    path = home / "logs" / "supervisord.log"
    while True:
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            reason = find_reason(file.read().decode(errors="replace"), name)
            if reason:
                return reason
        if time.monotonic() > deadline:
            return "no reason was given"
        time.sleep(0.05)


class Guardian:
    """What is known of the components, and what is done when one ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._pids = records.load_pids(home)

    def hear(self, event: str, payload: dict[str, str]) -> None:
        """Take one event in."""
        name = payload.get("processname", "")
        if event in {"PROCESS_STATE_STARTING", "PROCESS_STATE_RUNNING"} and payload.get("pid"):
            pid = int(payload["pid"])
            with contextlib.suppress(psutil.Error):
                self._pids[name] = (pid, psutil.Process(pid).create_time())
            records.save_pids(self._home, self._pids)
        if event in _ENDED and not records.is_stopping(self._home):
            self._note_end(name, event)

    def _note_end(self, name: str, event: str) -> None:
        time.sleep(0.1)  # supervisord writes its log line after it sends the event
        reason = _read_reason(self._home, name)
        if event == "PROCESS_STATE_FATAL":
            outcome = "it is not started again: too many ends in a row"
        else:
            count = records.save_restart(self._home, name, reason)
            outcome = f"starting it again, restart {count}"
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        with (self._home / "logs" / f"{name}.log").open("a", encoding="utf-8") as log:
            log.write(f"{moment} perfloop: {name} ended ({reason}); {outcome}\n")

    def resurrect(self) -> None:
        """Supervisord is gone and nobody asked for it: end the orphans, then bring the stack back."""
        _end_orphans([recorded for name, recorded in self._pids.items() if name != GUARDIAN])
        records.save_restart(self._home, "supervisord", "it was killed")
        running = records.load_running(self._home)
        command = [sys.executable, "-m", "perfloop", "up", "--native", "--resume"]
        command += [] if running is None or running.demo else ["--no-demo"]
        # Supervisord read this process's output and is gone: what is written there now would end the writer.
        with (self._home / "logs" / f"{GUARDIAN}.log").open("a", encoding="utf-8") as log:
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PERFLOOP_HOME": str(self._home)},
            )


def _end_orphans(recorded: list[tuple[int, float]]) -> None:
    orphans = []
    for pid, created in recorded:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.create_time() == created:  # a process id that was given to another is left alone
                orphans.append(process)
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(orphans, timeout=_ORPHAN_GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    """Listen until supervisord is gone."""
    home = Path(sys.argv[1])
    guardian = Guardian(home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        _say("READY\n")
        header_line = sys.stdin.readline()
        if not header_line:
            break
        header = parse_tokens(header_line)
        payload = parse_tokens(sys.stdin.read(int(header["len"])))
        guardian.hear(header["eventname"], payload)
        _say("RESULT 2\nOK")
    if not records.is_stopping(home):
        guardian.resurrect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
