"""The two sides of a proof: without the change and with it.

They are two addresses, or one whose change commands apply and take back. Whatever happens, a change that was applied is
taken back at the end.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from perfloop.prove.errors import SwitchError
from perfloop_base.redaction import redact, redact_url
from perfloop_base.terminal import warn

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

WITHOUT, WITH = "without", "with"
COMMAND_SECONDS, READY_SECONDS = 120.0, 60.0
PAUSE_SECONDS = 0.2
_KILL_SECONDS = 2.0
_SHOWN = 200
_SERVER_ERROR = 500


@dataclass(slots=True)
class Sides:
    """Where each side is, and how to get there.

    Attributes:
        urls: The address of each side; the same where commands switch.
        commands: By side the command that leads to it; empty where the addresses differ.
        client: For the question whether the service answers.
    """

    urls: dict[str, str]
    client: httpx.Client
    commands: dict[str, str] = field(default_factory=dict)
    _present: str = WITHOUT

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._present == WITHOUT or not self.commands:
            return
        try:
            self.switch(WITHOUT)
        except SwitchError as failure:
            if error is None:
                raise
            warn(f"the change could not be taken back: {failure}")

    def switch(self, side: str) -> str:
        """Go to a side, wait until its service answers, and return its address.

        Raises:
            SwitchError: The command failed or hangs, or the service does not answer.
        """
        if self.commands and side != self._present:
            # Noted first: a command that fails half way may have changed something.
            self._present = side
            _run(self.commands[side], "--apply" if side == WITH else "--revert")
        self._await(self.urls[side])
        return self.urls[side]

    def _await(self, url: str) -> None:
        deadline, problem = time.monotonic() + READY_SECONDS, "it did not answer"
        while True:
            try:
                answer = self.client.get(url + "/", timeout=2.0)
                if answer.status_code < _SERVER_ERROR:
                    return
                problem = f"it answers with {answer.status_code}"
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                raise SwitchError(f"{redact_url(url)} is not ready after {READY_SECONDS:.0f} s: {redact(problem)}")
            time.sleep(PAUSE_SECONDS)


def _run(command: str, flag: str) -> None:
    shown = redact(command)
    with subprocess.Popen(  # noqa: S602 - the user's own command, as a shell runs it
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            _end(process)
            raise SwitchError(f"{flag} {shlex.quote(shown)} was still running after {COMMAND_SECONDS:.0f} s") from None
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        last = redact((errors.strip().splitlines() or ["no message"])[-1][:_SHOWN])
        raise SwitchError(f"{flag} {shlex.quote(shown)} ended with {process.returncode}: {last}")


def _end(process: subprocess.Popen[str]) -> None:
    """End a command with everything that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(_KILL_SECONDS)
