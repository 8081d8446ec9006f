"""Checks a request's AWS signature as Amazon does: written from its specification, with no signer's code.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html: the canonical request is
made again from what arrived, and signed with the secret that belongs to the access key.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import posixpath
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SKEW_SECONDS = 900.0
_FORMAT = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request, ?"
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Key:
    """What belongs to an access key: its secret; a session's token and end in Unix seconds where it is temporary."""

    secret: str
    token: str = ""
    ends_at: float = math.inf


@dataclass(frozen=True)
class Received:
    """A request as it arrived: the path and the query not decoded, the headers in any spelling."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header; several become one, as HTTP joins them."""
        return ",".join(" ".join(value.split()) for key, value in self.headers if key.lower() == name)


class RefusedError(Exception):
    """The request is refused, with Amazon's name for the reason."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def verify(request: Received, keys: Mapping[str, Key], region: str, service: str, now: float) -> None:
    """Return when the signature is right.

    Args:
        request: What arrived.
        keys: Those that hold, by access key.
        region: Where the service is.
        service: Its signing name.
        now: Its clock in Unix seconds.

    Raises:
        RefusedError: It is not, with the reason.
    """
    found = _AUTHORIZATION.fullmatch(request.header("authorization"))
    if found is None:
        raise RefusedError("MissingAuthenticationTokenException", "Missing Authentication Token")
    key = _known(request, found["key"], keys, now)
    moment = request.header("x-amz-date")
    _check_moment(moment, found["day"], now)
    if found["region"] != region:
        raise RefusedError("InvalidSignatureException", "Credential should be scoped to a valid region.")
    if found["service"] != service:
        raise RefusedError("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'.")
    signed = found["signed"].split(";")
    must = {"host", "x-amz-date", *(n.lower() for n, _ in request.headers if n.lower().startswith("x-amz-"))}
    if missing := sorted(must - set(signed)):
        raise RefusedError("InvalidSignatureException", f"'{missing[0]}' must be a 'SignedHeader'.")
    scope = f"{found['day']}/{region}/{service}/aws4_request"
    if not hmac.compare_digest(_signature(request, signed, key.secret, moment, scope), found["signature"]):
        raise RefusedError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
        )


def _known(request: Received, name: str, keys: Mapping[str, Key], now: float) -> Key:
    key = keys.get(name)
    token = request.header("x-amz-security-token")
    if key is None or not hmac.compare_digest(key.token, token):
        raise RefusedError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if now >= key.ends_at:
        raise RefusedError("ExpiredTokenException", "The security token included in the request is expired")
    return key


def _check_moment(text: str, day: str, now: float) -> None:
    try:
        moment = datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise RefusedError("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.") from None
    if not text.startswith(day):
        raise RefusedError("InvalidSignatureException", "Date in Credential scope does not match the date.")
    clock = datetime.fromtimestamp(now, UTC).strftime(_FORMAT)
    if moment < now - SKEW_SECONDS:
        raise RefusedError("InvalidSignatureException", f"Signature expired: {text} is earlier than {clock} - 15 min.")
    if moment > now + SKEW_SECONDS:
        raise RefusedError(
            "InvalidSignatureException", f"Signature not yet current: {text} is still later than {clock}."
        )


def _signature(request: Received, signed: Sequence[str], secret: str, moment: str, scope: str) -> str:
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            *(f"{name}:{request.header(name)}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    secret_key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        secret_key = hmac.digest(secret_key, part.encode(), "sha256")
    return hmac.new(secret_key, text.encode(), "sha256").hexdigest()


def _canonical_path(path: str) -> str:
    """The path, dots resolved, each segment encoded once more than it was sent (every service but S3)."""
    normal = re.sub(r"/+", "/", posixpath.normpath(path or "/"))
    return quote(normal + ("/" if path.endswith("/") and normal != "/" else ""), safe="/-_.~")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    return "&".join(
        f"{name}={value}" for name, value in sorted((_encode(unquote(n)), _encode(unquote(v))) for n, v in pairs)
    )


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
