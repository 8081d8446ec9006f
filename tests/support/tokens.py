"""Token endpoints as Google and Microsoft Entra ID have them: they verify who asks, and hand out tokens that end.

RFC 7523 (assertions, signed with RS256, RFC 7518 §3.3), RFC 6749 §4.4 and §5.2 (client credentials and errors).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"
LONGEST_SECONDS = 3600.0  # of Google's assertions
SKEW_SECONDS = 300.0


class OAuthError(Exception):
    """A token is refused: `error` and `error_description` of RFC 6749 §5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


def make_key() -> rsa.RSAPrivateKey:
    """A new RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    """The key as a file holds it."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


def sign_jwt(key: rsa.RSAPrivateKey, claims: Mapping[str, Any]) -> str:
    """A JSON Web Token, signed with RS256."""
    parts = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{parts}.{_encode(key.sign(parts.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def read_jwt(token: str, key: rsa.RSAPublicKey, now: float) -> dict[str, Any]:
    """The claims of a token whose signature is right and whose time is now.

    Raises:
        OAuthError: It is not.
    """
    try:
        head, body, signature = token.split(".")
        header, claims = json.loads(_decode(head)), json.loads(_decode(body))
        if header["alg"] != "RS256":
            raise OAuthError("invalid_grant", "Invalid JWT: the algorithm must be RS256.")
        key.verify(_decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise OAuthError("invalid_grant", "Invalid JWT Signature.") from None
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise OAuthError("invalid_request", "Bad Request") from None
    if not claims.get("iat", now) - SKEW_SECONDS <= now < claims["exp"] + SKEW_SECONDS:
        raise OAuthError(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat "
            "and exp values in the JWT claim.",
        )
    return dict(claims)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Issued:
    """A token that was handed out: for whom, and until when in Unix seconds."""

    audience: str
    ends_at: float


@dataclass
class TokenServer:
    """What both token endpoints know.

    Attributes:
        lifetime: Of the tokens, in seconds.
        accounts: Public keys of Google's service accounts, by e-mail address.
        secrets: Of Entra's applications, by client.
        workloads: Public key, issuer and subject of each federated workload, by client.
        issued: Every token, by its text; taken out it is revoked.
        asked: How often a token was asked for, granted or not.
    """

    lifetime: float = 3600.0
    accounts: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    workloads: dict[str, tuple[rsa.RSAPublicKey, str, str]] = field(default_factory=dict)
    issued: dict[str, Issued] = field(default_factory=dict)
    asked: int = 0

    def google(self, form: Mapping[str, str], url: str, now: float) -> dict[str, Any]:
        """Google's endpoint at `url`: an assertion of a service account becomes a token.

        Raises:
            OAuthError: It is refused.
        """
        self.asked += 1
        if form.get("grant_type") != JWT_BEARER:
            raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        assertion = form.get("assertion", "")
        account = _claim(assertion, "iss")
        if account not in self.accounts:
            raise OAuthError("invalid_grant", "Invalid grant: account not found")
        claims = read_jwt(assertion, self.accounts[account], now)
        if claims.get("aud") != url:
            raise OAuthError("invalid_grant", "Invalid JWT: Failed audience check.")
        if claims["exp"] - claims["iat"] > LONGEST_SECONDS:
            raise OAuthError("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes).")
        if not claims.get("scope"):
            raise OAuthError("invalid_scope", "Empty or missing scope not allowed.")
        return self._grant(str(claims["scope"]), now)

    def entra(self, form: Mapping[str, str], now: float) -> dict[str, Any]:
        """Microsoft's endpoint: a client's secret, or its workload's token, becomes a token.

        Raises:
            OAuthError: It is refused.
        """
        self.asked += 1
        client = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            raise OAuthError("unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
        if form.get("client_assertion_type") == ASSERTION_TYPE and client in self.workloads:
            self._check_workload(client, form.get("client_assertion", ""), now)
        elif client not in self.secrets:
            raise OAuthError(
                "unauthorized_client", f"AADSTS700016: Application with identifier '{client}' was not found."
            )
        elif not hmac.compare_digest(form.get("client_secret", ""), self.secrets[client]):
            raise OAuthError("invalid_client", f"AADSTS7000215: Invalid client secret provided for app '{client}'.")
        # Microsoft's own libraries name scopes of OpenID beside the audience's.
        audiences = [scope for scope in form.get("scope", "").split() if scope.endswith("/.default")]
        if len(audiences) != 1:
            raise OAuthError(
                "invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid."
            )
        return self._grant(audiences[0].removesuffix("/.default"), now)

    def holds(self, token: str, audience: str, now: float) -> bool:
        """Whether a token was handed out for this audience, and neither ended nor was revoked."""
        found = self.issued.get(token)
        return found is not None and found.audience == audience and now < found.ends_at

    def _check_workload(self, client: str, assertion: str, now: float) -> None:
        key, issuer, subject = self.workloads[client]
        try:
            claims = read_jwt(assertion, key, now)
        except OAuthError:
            raise OAuthError(
                "invalid_client", "AADSTS700024: Client assertion is not within its valid time range."
            ) from None
        if (claims.get("iss"), claims.get("sub"), claims.get("aud")) != (issuer, subject, EXCHANGE_AUDIENCE):
            raise OAuthError("invalid_client", "AADSTS70021: No matching federated identity record found.")

    def _grant(self, audience: str, now: float) -> dict[str, Any]:
        token = secrets.token_urlsafe(40)
        self.issued[token] = Issued(audience, now + self.lifetime)
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self.lifetime)}


def _claim(token: str, name: str) -> str:
    """A claim of a token that nobody has verified yet."""
    try:
        return str(json.loads(_decode(token.split(".")[1]))[name])
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
