"""Credentials that stand in files: read for each request, so that whoever writes them may rotate them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import httpx

from perfloop_analyzer.config import read_secret
from perfloop_analyzer.errors import ConfigError, CredentialRefused
from perfloop_base.redaction import register, unregister

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path


class SecretFile:
    """A file with one secret; only the one that stands in it now is remembered as a secret."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = ""

    def read(self) -> str:
        """Return the secret.

        Raises:
            CredentialRefused: The file cannot be read, or does not hold one line.
        """
        try:
            found = read_secret(self._path)
        except ConfigError as error:
            raise CredentialRefused(str(error)) from error
        if found != self._last:
            unregister(self._last)
            self._last = found
        return found


class BearerAuth(httpx.Auth):
    """Sends the token of a file."""

    def __init__(self, file: SecretFile) -> None:
        self._file = file

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request with the token that the file has now."""
        request.headers["Authorization"] = f"Bearer {self._file.read()}"
        yield request


class BasicAuth(httpx.Auth):
    """Sends a user's name and the password of a file (RFC 7617)."""

    def __init__(self, username: str, file: SecretFile | None) -> None:
        self._username = username
        self._file = file
        self._last = ""

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request with the password that the file has now."""
        pair = f"{self._username}:{self._file.read() if self._file else ''}"
        encoded = base64.b64encode(pair.encode()).decode()
        if encoded != self._last:
            unregister(self._last)
            register(encoded)
            self._last = encoded
        request.headers["Authorization"] = f"Basic {encoded}"
        yield request


class HeaderFilesAuth(httpx.Auth):
    """Sends headers whose values are secrets in files, beside another authentication where there is one."""

    def __init__(self, files: Mapping[str, SecretFile], inner: httpx.Auth | None) -> None:
        self._files = files
        self._inner = inner or httpx.Auth()
        self.requires_request_body = self._inner.requires_request_body

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request with the headers, as the other authentication wants it sent."""
        for name, file in self._files.items():
            request.headers[name] = file.read()
        flow = self._inner.async_auth_flow(request)
        try:
            request = await anext(flow)
            while True:
                request = await flow.asend((yield request))
        except StopAsyncIteration:
            return
