"""Two builds of a service at one address: commands that switch it, and waiting until it is healthy.

Nothing waits without a bound, and whatever happens, the service is left as it was found: as A.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin

from perfloop_base.quantities import quantity
from perfloop_base.redaction import redact, redact_url
from perfloop_loadgen.errors import SwitchError

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

BASE, NEW = "A", "B"
# How often a service that is not healthy is asked again.
_ASK_SECONDS = 0.2
_ONE_ANSWER_SECONDS = 5.0
# Of what a command wrote, the end: that is where errors are.
_SHOWN_BYTES = 400
_LOWEST_FAULT = 500
_GOOD = range(200, 300)


@dataclass(frozen=True, slots=True)
class Health:
    """How a service is found healthy.

    Attributes:
        path: What is asked for, on the service's address; empty: `/`, where any answer below 500 will do.
        within_seconds: How long it may take to come up.
        verify: Whether its certificate is checked.
    """

    path: str = ""
    within_seconds: float = 60.0
    verify: bool = True

    def is_good(self, status: int) -> bool:
        """Return whether an answer is that of a healthy service."""
        return status in _GOOD if self.path else status < _LOWEST_FAULT


@dataclass(frozen=True, slots=True)
class Commands:
    """What switches the service, and how long it may take; without commands both builds run side by side."""

    by_side: Mapping[str, str]
    within_seconds: float = 120.0


class Switch:
    """Brings the service into the state of a side, and leaves it in that of A."""

    def __init__(self, commands: Commands, health: Health) -> None:
        self._commands = commands
        self._health = health
        self._is_as_found = True

    async def to(self, side: str, url: str) -> None:
        """Apply a side, also where it is applied already: each run begins with a service that was just started.

        Raises:
            SwitchError: its command failed or hung, or the service does not come up.
        """
        command = self._commands.by_side.get(side)
        if command is not None:
            self._is_as_found = False
            await run_command(side, command, self._commands.within_seconds)
            self._is_as_found = side == BASE
        await wait_until_healthy(side, url, self._health)

    async def revert(self, url: str) -> str:
        """Apply A if anything else may be applied; return one sentence on what did not work, or nothing."""
        if self._is_as_found or BASE not in self._commands.by_side:
            return ""
        try:
            await self.to(BASE, url)
        except SwitchError as error:
            return f"what was applied could not be reverted: {error}"
        log.info("reverted: the command of A was run again")
        return ""


async def run_command(side: str, command: str, within_seconds: float) -> None:
    """Run a shell command to its end; what it leaves in the background goes on. It may hold secrets: no error shows it.

    Raises:
        SwitchError: it failed, or has not ended in time; it and what it started are ended then.
    """
    # A file, not a pipe: a server that the command leaves in the background keeps a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code = await asyncio.wait_for(process.wait(), within_seconds)
        except TimeoutError:
            await _end(process)
            limit = quantity(within_seconds, "seconds")
            raise SwitchError(f"the command of {side} did not end within {limit}") from None
        except asyncio.CancelledError:
            await _end(process)
            raise
        if code:
            raise SwitchError(f"the command of {side} ended with {code}{_last_words(output)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _last_words(output: IO[bytes]) -> str:
    output.seek(max(0, output.seek(0, os.SEEK_END) - _SHOWN_BYTES))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return f": {redact(lines[-1])}" if lines else ""


async def wait_until_healthy(side: str, url: str, health: Health) -> None:
    """Ask until the service answers as a healthy one.

    Raises:
        SwitchError: it has not in time; with the last answer.
    """
    import httpx  # heavy, and most commands do without

    address = urljoin(f"{url}/", health.path.lstrip("/"))
    loop = asyncio.get_running_loop()
    until = loop.time() + health.within_seconds
    last = "no answer"
    async with httpx.AsyncClient(verify=health.verify, trust_env=False, timeout=_ONE_ANSWER_SECONDS) as client:
        while (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(left), client.stream("GET", address) as answer:
                    if health.is_good(answer.status_code):
                        return
                    last = f"the answer was {answer.status_code}"
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
                last = f"{type(error).__name__}{f': {error}' if str(error) else ''}"
            await asyncio.sleep(min(_ASK_SECONDS, max(0.0, until - loop.time())))
    limit = quantity(health.within_seconds, "seconds")
    raise SwitchError(f"{side} at {redact_url(address)} was not healthy within {limit}: {redact(last)}")
