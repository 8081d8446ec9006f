"""Which names stand for secrets: of settings, variables, headers, query parameters and labels."""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST_NAME = 200
# `adminPassword` → admin, password; `APIKey` → api, key; `GF_SECURITY_ADMIN_PASSWORD`, `X-Api-Key`, `--store.password`.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# A name that ends with one of these words is a secret's.
_ENDINGS = frozenset(
    re.findall(
        r"\w+",
        "password passwd passphrase passcode pwd secret secrets token credential credentials cookie authorization auth"
        " bearer jwt apikey apitoken authtoken accesstoken accesskey secretkey privatekey sessionid signature dsn"
        " pgpassword webhookurl",
    )
)
# Two words that mean a secret together, whatever the second means alone.
_PAIRS = re.compile(
    r"(?:api|access|private|secret|routing|service|integration|signing|signature|encryption|master|admin|auth|client"
    r"|account|shared|session|storage|license|ssh|subscription|functions) key"
    r"|(?:db|user|smtp|redis|pg|mysql|admin|root|auth|database|imap|mail|ftp|http|proxy) pass"
    r"|session id|webhook url|connection string|auth userpass"
)
# Language models count tokens: `time_to_first_token` and `max_token` hold numbers.
_COUNTED = frozenset({"first", "output", "input", "prompt", "completion", "per", "next", "stop", "eos", "bos", "pad"})
# A hash or a copy of a secret is one, too: `password_hash`, `token2`.
_COPIES = frozenset({"hash", "hashed", "value", "text", "plain", "plaintext", "old", "new", "current", "base64", "raw"})
_PARAMETERS = frozenset({"key", "sig", "code", "pass", "pw", "auth", "access", "sid", "session", "hmac"})


@lru_cache(maxsize=2048)
def is_secret_name(name: str) -> bool:
    """Return whether a name stands for a secret: `api_key`, `X-Auth-Token`, `PGPASSWORD`, `adminPassword`.

    What only points to one does not: `password_file`, `token_url`; nor what is counted: `max_tokens`.
    """
    words = [word.lower() for word in _WORDS.findall(name[-_LONGEST_NAME:])]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _COPIES):
        words.pop()
    if not words:
        return False
    last = words[-1]
    if last in {"token", "secret"} and len(words) > 1 and words[-2] in _COUNTED:
        return False
    return (
        last in _ENDINGS
        or last.endswith(("password", "passwd", "apikey"))
        or bool(_PAIRS.fullmatch(" ".join(words[-2:])))
    )


def is_secret_parameter(name: str) -> bool:
    """Return whether a query parameter is a secret's; there `key`, `sig` and `code` are, as well."""
    return name.lower() in _PARAMETERS or is_secret_name(name)
