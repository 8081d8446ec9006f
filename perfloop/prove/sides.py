"""The two sides of a proof: without the change and with it.

They are two addresses, or one whose change commands apply and take back. Whatever happens, a change that was applied is
taken back at the end.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop_base.redaction import redact
from perfloop_base.terminal import warn
from perfloop_loadgen.app.switching import Health, run_command, wait_until_healthy
from perfloop_loadgen.errors import SwitchError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

WITHOUT, WITH = "without", "with"
COMMAND_SECONDS, READY_SECONDS = 120.0, 60.0


@dataclass(slots=True)
class Sides:
    """Where each side is, and how to get there.

    Attributes:
        urls: The address of each side; the same where commands switch.
        commands: By side the command that leads to it; empty where the addresses differ.
    """

    urls: dict[str, str]
    commands: dict[str, str] = field(default_factory=dict)
    _present: str = WITHOUT

    def __enter__(self) -> Self:
        # Else SIGTERM would end the program with the change in place.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.commands and self._present == WITH:
                self.switch(WITHOUT)
        except SwitchError as failure:
            if error is None:
                raise
            warn(f"the change could not be taken back: {failure}")
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def switch(self, side: str) -> str:
        """Go to a side, wait until its service answers, and return its address.

        Raises:
            SwitchError: The command failed or hangs, or the service does not answer.
        """
        if self.commands and side != self._present:
            # Noted first: a command that fails half way may have changed something.
            self._present = side
            _run(self.commands[side], "--apply" if side == WITH else "--revert")
        asyncio.run(
            wait_until_healthy(f"the service {side} the change", self.urls[side], Health(within_seconds=READY_SECONDS))
        )
        return self.urls[side]


def _run(command: str, flag: str) -> None:
    asyncio.run(run_command(f"{flag} {shlex.quote(redact(command))}", command, COMMAND_SECONDS))
