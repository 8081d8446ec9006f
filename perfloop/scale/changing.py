"""Changes the number of replicas: by a command, or by a webhook. Both may be given the same number twice."""

from __future__ import annotations

import asyncio
import logging
import shlex
from typing import TYPE_CHECKING, Protocol

import httpx

from perfloop.scale.errors import ScaleError
from perfloop_analyzer.config import read_secret
from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.switching import run_command
from perfloop_loadgen.errors import SwitchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop.scale.config import ScaleConfig

log = logging.getLogger("scale")

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 1.0  # doubled after each attempt
_CLIENT_ERROR, _SERVER_ERROR, _TOO_MANY = 400, 500, 429


class Change(Protocol):
    """Gives a service a number of replicas."""

    async def __call__(self, service: str, replicas: int) -> None:
        """Do it, or raise a ScaleError."""


class Command:
    """Runs a shell command, and ends it when it takes too long."""

    def __init__(self, command: str, timeout_seconds: float) -> None:
        self._command, self._timeout = command, timeout_seconds

    async def __call__(self, service: str, replicas: int) -> None:
        """Run the command with both names filled in.

        Raises:
            ScaleError: It failed, or did not end in time.
        """
        command = self._command.replace("{service}", shlex.quote(service)).replace("{replicas}", str(replicas))
        try:
            await run_command("--command", command, self._timeout)
        except SwitchError as error:
            raise ScaleError(f"{service}: {error}") from error


class Webhook:
    """Posts the number; once more where the receiver is not there or has an error of its own."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_seconds: float) -> None:
        self._url, self._headers, self._timeout = url, headers, timeout_seconds

    async def __call__(self, service: str, replicas: int) -> None:
        """Post the number.

        Raises:
            ScaleError: It was refused, or every attempt failed.
        """
        try:
            async with asyncio.timeout(self._timeout), httpx.AsyncClient(timeout=self._timeout) as client:
                reason = await self._try(client, {"service": service, "replicas": replicas})
        except TimeoutError:
            reason = f"no answer within {self._timeout:g} s"
        if reason:
            raise ScaleError(f"{service}: the webhook {redact_url(self._url)}: {reason}")

    async def _try(self, client: httpx.AsyncClient, body: Mapping[str, object]) -> str:
        """Return why every attempt failed; empty once one succeeded."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                # Only the status is read: what else answers may be of any length.
                async with client.stream("POST", self._url, json=body, headers=dict(self._headers)) as answer:
                    status = answer.status_code
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                reason = str(error) or type(error).__name__
                continue
            if status < _CLIENT_ERROR and answer.is_success:
                return ""
            reason = f"status {status}"
            if status < _SERVER_ERROR and status != _TOO_MANY:
                break  # it would be refused again; a redirect is not followed, since it takes the token elsewhere
        return reason


def build_change(config: ScaleConfig) -> Change:
    """Return what changes the number by these settings.

    Raises:
        ConfigError: The file of the webhook's token cannot be read.
    """
    if config.command:
        return Command(config.command, config.timeout)
    headers = {"Authorization": f"Bearer {read_secret(config.token_file)}"} if config.token_file else {}
    return Webhook(config.webhook, headers, config.timeout)
