"""The doubles refuse what the real services refuse: Amazon's published examples, botocore's signatures, spoilt ones."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sigv4_verifier import SKEW_SECONDS, Key, Received, RefusedError, verify
from tests.support.tokens import OAuthError, TokenServer, make_key, read_jwt, sign_jwt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# The example credentials and signatures of Amazon's test suite for Signature Version 4.
EXAMPLE = {"AKIDEXAMPLE": Key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}  # pragma: allowlist secret
MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
SCOPE = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
PUBLISHED = [
    ("GET", "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "GET",
        "Param2=value2&Param1=value1",
        "host;x-amz-date",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
]
KEYS = {"AKIDEXAMPLE": Key("the-secret-of-the-key"), "ASIASESSION": Key("of-the-session", "its-token", 2e9)}
NOW = 1_800_000_000.0
URL = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/query_range"


@pytest.mark.parametrize(("method", "query", "signed", "signature"), PUBLISHED, ids=["vanilla", "query order"])
def test_amazons_published_signatures_are_right(method: str, query: str, signed: str, signature: str) -> None:
    """The verifier computes what Amazon published."""
    authorization = f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders={signed}, Signature={signature}"
    headers = [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z"), ("Authorization", authorization)]
    verify(Received(method, "/", query, headers, b""), EXAMPLE, "us-east-1", "service", MOMENT)


def sign(url: str = URL, body: bytes = b"query=up", access_key: str = "AKIDEXAMPLE", **changes: Any) -> Received:
    """A request that botocore signed."""
    auth = pytest.importorskip("botocore.auth", reason="pip install 'perfloop[aws]'")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    key = KEYS[access_key]
    given = {"service": "aps", "region": "eu-central-1", "secret": key.secret} | changes
    request = AWSRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)
    credentials = Credentials(access_key, given["secret"], key.token or None)
    auth.SigV4Auth(credentials, given["service"], given["region"]).add_auth(request)
    parts = urlsplit(url)
    return Received("POST", parts.path, parts.query, [("Host", parts.netloc), *request.headers.items()], body)


def refusal(request: Received, now: float | None = None) -> str:
    """Why the verifier refuses a request."""
    with pytest.raises(RefusedError) as caught:
        verify(request, KEYS, "eu-central-1", "aps", time.time() if now is None else now)
    return f"{caught.value.kind}: {caught.value}"


@settings(deadline=None)
@given(
    path=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12),
    names=st.lists(st.text("aZ09-_.~", min_size=1, max_size=4), max_size=4),
    body=st.binary(max_size=200),
    access_key=st.sampled_from([*KEYS]),
)
def test_what_botocore_signs_is_accepted(path: str, names: list[str], body: bytes, access_key: str) -> None:
    """Any path, query and body, with a long-lived key or a session's."""
    query = "&".join(f"{name}=%2F{name}" for name in names)
    request = sign(f"https://example.com/{path}/%20{path}?{query}", body, access_key)
    verify(request, KEYS, "eu-central-1", "aps", time.time())


def test_what_was_changed_on_the_way_is_refused() -> None:
    """The body, the path, the query, a signed header, the method: each is part of the signature."""
    request = sign()
    headers = [(name, "text/plain" if name == "Content-Type" else value) for name, value in request.headers]
    for spoilt in (
        replace(request, body=b"query=down"),
        replace(request, path=request.path + "x"),
        replace(request, query="a=b"),
        replace(request, headers=headers),
        replace(request, method="GET"),
    ):
        assert "does not match the signature you provided" in refusal(spoilt)


def test_another_secret_region_service_or_clock_is_refused() -> None:
    """Each with Amazon's own name for it."""
    assert refusal(sign(secret="another")).startswith("InvalidSignatureException: The request signature")
    assert "scoped to a valid region" in refusal(sign(region="us-east-1"))
    assert "correct service: 'aps'" in refusal(sign(service="s3"))
    request = sign()
    assert "Signature expired" in refusal(request, time.time() + SKEW_SECONDS + 5)
    assert "Signature not yet current" in refusal(request, time.time() - SKEW_SECONDS - 5)
    verify(request, KEYS, "eu-central-1", "aps", time.time() + SKEW_SECONDS - 5)
    assert refusal(sign(access_key="ASIASESSION"), 2e9 + 1).startswith("ExpiredTokenException")
    assert refusal(replace(request, headers=[])).startswith("MissingAuthenticationTokenException")
    unsigned = replace(request, headers=[*request.headers, ("X-Amz-Target", "x")])
    assert "'x-amz-target' must be a 'SignedHeader'" in refusal(unsigned)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """An RSA key."""
    return make_key()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"exp": NOW - 400, "iat": NOW - 4000}, "reasonable timeframe"),
        ({"iat": NOW + 400, "exp": NOW + 4000}, "reasonable timeframe"),
        ({"exp": NOW + 7200}, "short-lived"),
        ({"aud": "https://elsewhere"}, "audience"),
        ({"scope": ""}, "scope"),
        ({"iss": "stranger"}, "account not found"),
    ],
)
def test_googles_endpoint_verifies_the_assertion(changes: dict[str, Any], said: str, key: RSAPrivateKey) -> None:
    """Its signature, its account, its audience, its scope and its time."""
    url = "https://oauth2.googleapis.com/token"
    claims = {"iss": "me", "aud": url, "scope": "read", "iat": NOW, "exp": NOW + 3600} | changes
    server = TokenServer(accounts={"me": key.public_key()})
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": sign_jwt(key, claims)}
    if not said:
        token = server.google(form, url, NOW)["access_token"]
        assert server.holds(token, "read", NOW + 3599)
        assert not server.holds(token, "read", NOW + 3600)
        assert not server.holds(token, "write", NOW)
        return
    with pytest.raises(OAuthError, match=said):
        server.google(form, url, NOW)


def test_a_token_of_another_key_or_algorithm_is_refused(key: RSAPrivateKey) -> None:
    """Also one that claims to need no signature."""
    token = sign_jwt(key, {"iat": NOW, "exp": NOW + 60})
    assert read_jwt(token, key.public_key(), NOW)["exp"] == NOW + 60
    for spoilt in (
        sign_jwt(make_key(), {"exp": NOW}),
        token[:-4] + "AAAA",
        f"eyJhbGciOiJub25lIn0.{token.split('.')[1]}.",
        "x",
    ):
        with pytest.raises(OAuthError):
            read_jwt(spoilt, key.public_key(), NOW)
