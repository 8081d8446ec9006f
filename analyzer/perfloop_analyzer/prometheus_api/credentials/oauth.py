"""Tokens from an OAuth 2.0 token endpoint: client credentials (RFC 6749 §4.4), also by assertion (RFC 7523 §2.2)."""

from __future__ import annotations

import base64
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import orjson

from perfloop_analyzer.errors import BadAnswer, CredentialRefused, SourceUnavailable
from perfloop_analyzer.prometheus_api.credentials.files import SecretFile
from perfloop_analyzer.prometheus_api.credentials.tokens import Token
from perfloop_analyzer.prometheus_api.refusals import cut, error_sentence, retry_after
from perfloop_analyzer.transport import Answer, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.config import SourceConfig
    from perfloop_analyzer.source_auth import AuthConfig, AzureIdentity

MOST_BYTES = 1_000_000  # of an answer with a token
DEFAULT_SECONDS = 3600.0  # of a token whose answer does not say for how long it holds
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The address of a machine's own identity, the same on each of Azure's: its instance metadata service.
METADATA = "http://169.254.169.254"
_MAY_PASS = frozenset({408, 429, *range(500, 600)})


class TokenEndpoint:
    """One URL that hands out tokens.

    Attributes:
        shown: The URL for messages.
    """

    def __init__(self, url: str, config: SourceConfig, **options: Any) -> None:
        """Prepare requests to the URL; `options` are httpx's."""
        parts = urlsplit(url)
        self._origin = parts._replace(path="", query="", fragment="").geturl()
        self._path = parts._replace(scheme="", netloc="", fragment="").geturl().lstrip("/")
        self._timeout, self._options = config.timeout_seconds, options
        self.shown = cut(parts._replace(query="", fragment="").geturl())

    async def post(self, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Token:
        """Return the token that a form of the token endpoint gets.

        Raises:
            CredentialRefused: The endpoint refuses the client, in its own words.
            SourceUnavailable: It does not answer, or not now.
            BadAnswer: It answers something else.
        """
        return await self._ask("POST", self._path, data=form, headers=headers)

    async def get(self, query: Mapping[str, str], headers: Mapping[str, str]) -> Token:
        """Return the token that a machine's own metadata service hands out; it raises as `post` does."""
        return await self._ask("GET", f"{self._path}?{urlencode(query)}", headers=headers)

    async def _ask(self, method: str, path: str, **content: Any) -> Token:
        # A token lasts an hour: the connection is not kept for the next one.
        transport = Transport(self._origin, self._timeout, MOST_BYTES, **self._options)
        try:
            return self._read(await transport.request(method, path, **content))
        finally:
            await transport.close()

    def _read(self, answer: Answer) -> Token:
        if answer.status in _MAY_PASS:
            sentence = f"{self.shown} gives no token: {error_sentence(answer.content, answer.status)}"
            raise SourceUnavailable(sentence, retry_after(answer, time.time()))
        if answer.status != httpx.codes.OK:
            raise CredentialRefused(f"{self.shown} refuses the credential: {_explain(answer)}")
        try:
            found = orjson.loads(answer.content)
            token, seconds = found["access_token"], float(found.get("expires_in", DEFAULT_SECONDS))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadAnswer(f"{self.shown} gives no token: its answer has no access_token") from error
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise BadAnswer(f"{self.shown} gives no token: its access_token is no text for a header")
        return Token(token, seconds)


def _explain(answer: Answer) -> str:
    """Return an OAuth error in its own words (RFC 6749 §5.2): its code, and what Entra ID or others add to it."""
    try:
        found = orjson.loads(answer.content)
        words = [str(found["error"]), *str(found.get("error_description", "")).splitlines()[:1]]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return error_sentence(answer.content, answer.status)
    return cut(": ".join(word for word in words if word))


class ClientCredentials:
    """A client with a secret at any OAuth 2.0 server."""

    def __init__(self, auth: AuthConfig, endpoint: TokenEndpoint, secret: SecretFile) -> None:
        self._client = auth.client_id
        self._scopes = auth.scopes
        self._endpoint = endpoint
        self._secret = secret

    async def fetch(self) -> Token:
        """Return a new token; the secret is sent as RFC 6749 §2.3.1 wants every server to take it."""
        pair = f"{quote_plus(self._client)}:{quote_plus(self._secret.read())}"
        form = {"grant_type": "client_credentials"}
        if self._scopes:
            form["scope"] = " ".join(self._scopes)
        return await self._endpoint.post(form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})


class AzureClient:
    """An application with a secret, or a workload with a token of its cluster, at Microsoft Entra ID."""

    def __init__(self, identity: AzureIdentity, endpoint: TokenEndpoint) -> None:
        self._identity = identity
        self._endpoint = endpoint
        # The cluster writes a new token into the file before the old one ends.
        self._file = SecretFile(identity.secret_file or identity.token_file)  # type: ignore[arg-type]  # one is given

    async def fetch(self) -> Token:
        """Return a new token for the workspace's audience."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._identity.client,
            "scope": f"{self._identity.audience}/.default",
        }
        if self._identity.secret_file is not None:
            form["client_secret"] = self._file.read()
        else:
            form |= {"client_assertion_type": ASSERTION, "client_assertion": self._file.read()}
        return await self._endpoint.post(form)


class AzureMachine:
    """The managed identity of the machine that the analyzer runs on."""

    def __init__(self, identity: AzureIdentity, endpoint: TokenEndpoint) -> None:
        self._identity = identity
        self._endpoint = endpoint

    async def fetch(self) -> Token:
        """Return a new token for the workspace's audience."""
        query = {"api-version": "2018-02-01", "resource": self._identity.audience}
        if self._identity.client:
            query["client_id"] = self._identity.client
        return await self._endpoint.get(query, {"Metadata": "true"})


def build_azure(identity: AzureIdentity, config: SourceConfig, **options: Any) -> AzureClient | AzureMachine:
    """Return who asks for Azure's tokens: the machine where neither a secret nor a workload's token is given."""
    if identity.secret_file is None and identity.token_file is None:
        host = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or METADATA
        url = f"{host.rstrip('/')}/metadata/identity/oauth2/token"
        return AzureMachine(identity, TokenEndpoint(url, config, trust_env=False))  # no proxy reaches it
    url = f"{identity.authority}/{identity.tenant}/oauth2/v2.0/token"
    return AzureClient(identity, TokenEndpoint(url, config, **options))
