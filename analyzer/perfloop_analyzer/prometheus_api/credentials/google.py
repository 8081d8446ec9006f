"""Tokens for Google Cloud, by google-auth: a service account's key, a workload's federation, the machine's account.

google-auth is asked for tokens alone; it does so by httpx, so that it needs no second HTTP library.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import google.auth
import google.auth.exceptions
import google.auth.transport
import httpx
from google.oauth2 import service_account

from perfloop_analyzer.errors import ConfigError, CredentialRefused, SourceError, SourceUnavailable
from perfloop_analyzer.prometheus_api.credentials.tokens import Token
from perfloop_analyzer.prometheus_api.refusals import cut
from perfloop_base.redaction import register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCOPES = ("https://www.googleapis.com/auth/monitoring.read",)
MOST_BYTES = 1_000_000  # of an answer with a token


class _Answer(google.auth.transport.Response):
    """What google-auth reads of a response."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def data(self) -> bytes:
        return self._response.content


class _Request(google.auth.transport.Request):
    """How google-auth sends a request: by httpx, within a time limit."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        limit = self._client.timeout if timeout is None else timeout
        try:
            response = self._client.request(method, url, content=body, headers=headers, timeout=limit)
        except httpx.HTTPError as error:
            words = str(error) or type(error).__name__
            raise google.auth.exceptions.TransportError(words) from error  # type: ignore[no-untyped-call]
        return _Answer(response)


class GoogleTokens:
    """Asks for tokens that may read metrics."""

    def __init__(self, path: Path | None, timeout_seconds: float, **options: Any) -> None:
        """Read the key, where a file is given; `options` are httpx's.

        Raises:
            ConfigError: The file is not the key of a service account.
        """
        self._credentials: Any = _read_key(path) if path is not None else None
        self._timeout = timeout_seconds
        self._options = options

    async def fetch(self) -> Token:
        """Return a new token."""
        # google-auth waits and reads files: it has a thread while it does.
        return await asyncio.to_thread(self._fetch)

    def _fetch(self) -> Token:
        try:
            with httpx.Client(timeout=self._timeout, **self._options) as client:
                request = _Request(client)
                if self._credentials is None:
                    self._credentials, _ = google.auth.default(scopes=SCOPES, request=request)
                self._credentials.refresh(request)
        except google.auth.exceptions.GoogleAuthError as error:
            raise _explain(error) from error
        expiry: datetime | None = self._credentials.expiry
        left = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if expiry else 0.0
        return Token(self._credentials.token, left)


def _read_key(path: Path) -> service_account.Credentials:
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
        register(key["private_key"])
        found: service_account.Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            key, scopes=SCOPES
        )
    except OSError as error:
        raise ConfigError(f"{path}: the key of a service account cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, google.auth.exceptions.GoogleAuthError) as error:
        # What the libraries say of a broken key may show a part of it.
        raise ConfigError(
            f"{path} is not the key of a service account: write the JSON file that Google made for it"
        ) from error
    return found


def _explain(error: google.auth.exceptions.GoogleAuthError) -> SourceError:
    """Return google-auth's error as ours: refused, or not answered."""
    words = error.args[0] if error.args else type(error).__name__
    sentence = cut(" ".join(str(words).split()))
    if isinstance(error, google.auth.exceptions.TransportError) or error.retryable:
        return SourceUnavailable(f"Google gives no token: {sentence}")
    return CredentialRefused(f"Google refuses the credential: {sentence}")
