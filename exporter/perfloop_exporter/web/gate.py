"""TLS, basic authentication, response headers and the rate limit of the web configuration file.

The file's stamp is checked on every connection and request, and the file is read again when it or a certificate has
changed. While it is invalid every request is refused: authentication is never switched off by a typing mistake.

Hand-written, since no library of the base install has exporter-toolkit's semantics; passwords are checked by bcrypt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_exporter.web.config import WebConfig, parse_web_config
from perfloop_exporter.web.messages import Request, Response, text_response
from perfloop_exporter.web.tls import build_context, has_allowed_name

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# Checked for unknown users, so that they take as long as known ones: the bcrypt hash, cost 10, of a random password.
UNKNOWN_USER = "$2b$10$2x8N55eL93gJozvZL/YnvekBt2QsJhU.OEiXYzTlKdKTvghN9pyIe"
CACHED_RESULTS = 100

Stamp = tuple[tuple[int, int, int] | None, ...]

log = logging.getLogger(__name__)


def load_bcrypt() -> Any:
    """Import the library that checks passwords.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import bcrypt
    except ImportError as error:
        raise ConfigError("basic_auth_users needs bcrypt: pip install 'perfloop[exporter]'") from error
    return bcrypt


class Passwords:
    """Checks user and password; results are cached under a hash of both, since bcrypt is slow by design."""

    def __init__(self, users: dict[str, str]) -> None:
        self._users = users
        self._bcrypt: Any = load_bcrypt() if users else None
        self._known: dict[bytes, bool] = {}
        self._lock = threading.Lock()

    def allows(self, header: str) -> bool:
        """Return whether the Authorization header has a known user with the right password."""
        if self._bcrypt is None:
            return True
        found = parse_basic(header)
        if found is None:
            return False
        user, password = found
        # With the length of the user, so that `a:b` with `c` and `a` with `b:c` are different keys.
        key = hashlib.sha256(f"{len(user)}:{user}:{password}".encode()).digest()
        with self._lock:  # one check at a time: each takes a core for some 50 ms
            if key not in self._known:
                if len(self._known) >= CACHED_RESULTS:
                    self._known.clear()
                self._known[key] = self._check(user, password)
            return self._known[key]

    def _check(self, user: str, password: str) -> bool:
        hashed = self._users.get(user, UNKNOWN_USER)
        try:
            return bool(self._bcrypt.checkpw(password.encode(), hashed.encode())) and user in self._users
        except ValueError:  # more than bcrypt's 72 bytes
            return False


def parse_basic(header: str) -> tuple[str, str] | None:
    """Return user and password of an Authorization header; None when it is not valid basic authentication."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


class Bucket:
    """A token bucket: one request per interval (in seconds), and a burst on top; no limit with interval 0."""

    def __init__(self, interval_seconds: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._burst, self._now = interval_seconds, burst, now
        self._tokens, self._filled = float(burst), now()
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Take a token; return whether there was one."""
        if not self._interval:
            return True
        with self._lock:
            now = self._now()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) / self._interval)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Setup:
    """The loaded configuration: TLS context, password checker and rate limiter."""

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self.context = build_context(config.tls) if config.tls.enabled else None
        self.passwords = Passwords(config.users)
        self.bucket = Bucket(config.interval_seconds, config.burst)


class ConfiguredGate:
    """Applies the web configuration file to every connection and request."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._files: tuple[str, ...] = (file,)
        self._stamp = self._look()
        self._setup: Setup | None = self._read()
        self._began_with_tls = self._setup.context is not None

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Return the connection after the TLS handshake.

        Raises:
            OSError: The file is invalid, has lost its TLS section since the start, or the handshake failed.
        """
        setup = self._current()
        if setup is None or (self._began_with_tls and setup.context is None):
            raise ConnectionRefusedError("the web configuration is invalid")
        if setup.context is None:
            return connection
        wrapped = setup.context.wrap_socket(connection, server_side=True)
        if not has_allowed_name(wrapped, setup.config.tls.client_allowed_sans):
            wrapped.close()
            raise ssl.SSLError("the client's certificate has none of client_allowed_sans")
        return wrapped

    def check(self, request: Request) -> Response | None:
        """Return the error response to a request beyond the rate limit or without valid credentials, else None."""
        setup = self._current()
        if setup is None:
            return text_response(500, "Internal Server Error\n")
        if not setup.bucket.allows():
            return text_response(429, "Too Many Requests\n")
        if setup.passwords.allows(request.headers.get("authorization", "")):
            return None
        return text_response(401, "Unauthorized\n")._replace(headers=(("WWW-Authenticate", "Basic"),))

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the response headers of the file."""
        setup = self._setup
        return () if setup is None else setup.config.headers

    def _current(self) -> Setup | None:
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._setup = self._reread()
            return self._setup

    def _reread(self) -> Setup | None:
        try:
            setup = self._read()
        except ConfigError as error:
            log.error("web configuration is invalid, refusing all requests", extra={"err": str(error)})  # noqa: TRY400  # no trace
            return None
        log.info("web configuration reloaded", extra={"file": self._file})
        return setup

    def _read(self) -> Setup:
        try:
            text = Path(self._file).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--web.config.file: {self._file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"--web.config.file: {self._file}: {error}") from error
        config = parse_web_config(text, self._file)
        tls = config.tls
        self._files = (self._file, *filter(None, (tls.cert_file, tls.key_file, tls.client_ca_file)))
        self._stamp = self._look()
        return Setup(config)

    def _look(self) -> Stamp:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)  # noqa: PTH116  # on every request
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
