"""Requests signed for Amazon (Signature Version 4), by botocore: its credentials, its signature, our HTTP client.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import botocore.session
import httpx
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

from perfloop_analyzer.errors import ConfigError, CredentialRefused, SourceError, SourceUnavailable
from perfloop_analyzer.prometheus_api.refusals import cut
from perfloop_analyzer.source_auth import region_of
from perfloop_base.redaction import register, unregister

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from perfloop_analyzer.source_auth import AuthConfig

SESSION_NAME = "perfloop-analyzer"  # the assumed role's session, as Amazon's own log shows it
REREAD_SECONDS = 30.0  # refused keys are looked up again at most so often


class _Signer(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signature at a given moment: Amazon refuses what is minutes from its own clock, which is known."""

    def __init__(self, credentials: Any, service: str, region: str, now: Callable[[], float]) -> None:
        super().__init__(credentials, service, region)
        self._now = now

    def add_auth(self, request: Any) -> None:
        """Sign the request, as `SigV4Auth.add_auth` does."""
        request.context["timestamp"] = datetime.fromtimestamp(self._now(), UTC).strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


class SigV4(httpx.Auth):
    """Signs each request with AWS credentials, which botocore finds and renews."""

    requires_request_body = True

    def __init__(self, auth: AuthConfig, url: str, timeout_seconds: float, now: Callable[[], float]) -> None:
        """Find the region; `now` is the server's time in Unix seconds. Nobody is asked for anything yet.

        Raises:
            ConfigError: There is no such profile, no credentials file, or no region.
        """
        self._auth = auth
        self._now = now
        self._config = Config(
            connect_timeout=timeout_seconds, read_timeout=timeout_seconds, retries={"max_attempts": 1}
        )
        if auth.aws_file is not None and not auth.aws_file.is_file():
            raise ConfigError(f"{auth.aws_file}: AWS's credentials cannot be read: there is no such file")
        self._credentials: Any = None
        self._session = self._open()
        self._region = auth.region or region_of(url) or os.environ.get("AWS_REGION") or self._profile_region()
        if not self._region:
            raise ConfigError("--prometheus.sigv4.region is required: neither the URL nor AWS's own settings name one")
        self._lock = threading.Lock()  # botocore finds credentials for one thread at a time
        self._registered: tuple[str, ...] = ()
        self._reread_at = float("-inf")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request signed; once more where it is refused and AWS's files have other keys by now."""
        # botocore may read files and wait for another service: it has a thread while it does.
        used = await asyncio.to_thread(self._sign, request)
        response = yield request
        if response.status_code in {401, 403} and await asyncio.to_thread(self._has_others, used):
            await asyncio.to_thread(self._sign, request)
            yield request

    def _sign(self, request: httpx.Request) -> str:
        """Sign a request and return the access key that did."""
        with self._lock:
            keys = self._frozen()
        headers = {name: request.headers[name] for name in ("Host", "Content-Type") if name in request.headers}
        signed = AWSRequest(method=request.method, url=str(request.url), headers=headers, data=request.content)
        _Signer(keys, self._auth.service, self._region, self._now).add_auth(signed)
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            request.headers.pop(name, None)
            if name in signed.headers:
                request.headers[name] = signed.headers[name]
        return str(keys.access_key)

    def _frozen(self) -> Any:
        try:
            if self._credentials is None:
                self._credentials = self._find()
            keys = self._credentials.get_frozen_credentials()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise _explain(error) from error
        secrets = tuple(value for value in (keys.secret_key, keys.token) if value)
        if secrets != self._registered:
            for old in self._registered:
                unregister(old)
            for new in secrets:
                register(new)
            self._registered = secrets
        return keys

    def _find(self) -> Any:
        found = self._session.get_credentials()
        if found is None:
            raise botocore.exceptions.NoCredentialsError
        if not self._auth.role:
            return found
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=lambda: self._assume(found))

    def _assume(self, keys: Any) -> Any:
        """Return the role's credentials; botocore calls it before they end."""
        with contextlib.ExitStack() as opened:

            def create(name: str, **given: Any) -> Any:
                client = self._session.create_client(name, region_name=self._region, config=self._config, **given)
                opened.callback(client.close)
                return client

            given = {"RoleSessionName": SESSION_NAME}
            return AssumeRoleCredentialFetcher(create, keys, self._auth.role, extra_args=given).fetch_credentials()

    def _has_others(self, refused: str) -> bool:
        """Look the credentials up again; return whether they are others than those that were refused."""
        with self._lock:
            if time.monotonic() >= self._reread_at + REREAD_SECONDS:
                self._reread_at = time.monotonic()
                self._session, self._credentials = self._open(), None
            return bool(self._frozen().access_key != refused)

    def _open(self) -> Any:
        session = botocore.session.Session(profile=self._auth.profile or None)
        if self._auth.aws_file is not None:
            session.set_config_variable("credentials_file", str(self._auth.aws_file))
        return session

    def _profile_region(self) -> str:
        try:
            return str(self._session.get_config_variable("region") or "")
        except botocore.exceptions.BotoCoreError as error:
            raise ConfigError(f"--prometheus.sigv4.profile: {cut(error)}") from error


def _explain(error: Exception) -> SourceError:
    """Return botocore's error as ours: refused, or not answered."""
    sentence = cut(" ".join(str(error).split()))
    if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
        return SourceUnavailable(f"AWS gives no credentials: {sentence}")
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        return CredentialRefused(
            "there are no AWS credentials: neither a credentials file, nor variables, nor a role of this machine"
        )
    return CredentialRefused(f"AWS refuses the credential: {sentence}")
