"""TLS, basic authentication, response headers and the rate limit of the web configuration file.

The file's stamp is checked on every connection and request, and the file is read again when it or a certificate has
changed. While it is invalid every request is refused: authentication is never switched off by a typing mistake.

Hand-written, since no library of the base install has exporter-toolkit's semantics; passwords are checked by bcrypt.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_base.web.config import WebConfig, parse_web_config
from perfloop_base.web.refusals import Refusal
from perfloop_base.web.tls import build_context, has_allowed_name

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# Checked for unknown users, so that they take as long as known ones: the bcrypt hash, cost 10, of a random password.
UNKNOWN_USER = "$2b$10$2x8N55eL93gJozvZL/YnvekBt2QsJhU.OEiXYzTlKdKTvghN9pyIe"
CACHED_RESULTS = 100

Stamp = tuple[tuple[int, int, int] | None, ...]

log = logging.getLogger(__name__)


def load_bcrypt(extra: str) -> Any:
    """Import the library that checks passwords.

    Args:
        extra: The extra of this distribution that brings it to the program.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import bcrypt
    except ImportError as error:
        raise ConfigError(f"basic_auth_users needs bcrypt: pip install 'perfloop[{extra}]'") from error
    return bcrypt


class Passwords:
    """Checks user and password; results are cached under a hash of both, since bcrypt is slow by design."""

    def __init__(self, users: dict[str, str], extra: str = "exporter") -> None:
        self._users = users
        self._bcrypt: Any = load_bcrypt(extra) if users else None
        # Apart, so that wrong guesses cannot push out what is right and make its owner wait for a check.
        self._right: set[bytes] = set()
        self._wrong: set[bytes] = set()
        self._lock = threading.Lock()

    def allows(self, header: str) -> bool:
        """Return whether the Authorization header has a known user with the right password."""
        if self._bcrypt is None:
            return True
        found = parse_basic(header)
        if found is None:
            return False
        user, password = found
        key = _key(user, password)
        if key in self._right:
            return True
        with self._lock:  # one check at a time: each takes a core for some 50 ms
            if key in self._right or key in self._wrong:
                return key in self._right
            is_right = self._check(user, password)
            known = self._right if is_right else self._wrong
            if len(known) >= CACHED_RESULTS:
                known.clear()
            known.add(key)
            return is_right

    def is_quick(self, header: str) -> bool:
        """Return whether `allows` takes no time that matters: there is nothing to check, or it is known to be right."""
        if self._bcrypt is None:
            return True
        found = parse_basic(header)
        return found is None or _key(*found) in self._right

    def _check(self, user: str, password: str) -> bool:
        hashed = self._users.get(user, UNKNOWN_USER)
        try:
            return bool(self._bcrypt.checkpw(password.encode(), hashed.encode())) and user in self._users
        except ValueError:  # more than bcrypt's 72 bytes
            return False


def _key(user: str, password: str) -> bytes:
    # With the length of the user, so that `a:b` with `c` and `a` with `b:c` are different keys.
    return hashlib.sha256(f"{len(user)}:{user}:{password}".encode()).digest()


def parse_basic(header: str) -> tuple[str, str] | None:
    """Return user and password of an Authorization header; None when it is not valid basic authentication."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # not base64, a character outside ASCII, or not UTF-8 within
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

    def __init__(self, config: WebConfig, extra: str) -> None:
        self.config = config
        self.context = build_context(config.tls) if config.tls.enabled else None
        self.passwords = Passwords(config.users, extra)
        self.bucket = Bucket(config.interval_seconds, config.burst)


class Gate:
    """Applies a web configuration file to connections and requests; it knows no server.

    Args:
        file: The web configuration file; empty for none: no TLS, no users, no limit.
        extra: The extra of this distribution that brings bcrypt to the program.

    Raises:
        ConfigError: The file is invalid.
    """

    def __init__(self, file: str, extra: str = "exporter") -> None:
        self._file = file
        self._extra = extra
        self._lock = threading.Lock()
        self._files: tuple[str, ...] = (file,) if file else ()
        self._stamp = self._look()
        self._setup: Setup | None = self._read()
        self._began_with_tls = self._setup.context is not None

    @property
    def is_secure(self) -> bool:
        """Whether the program was started with TLS."""
        return self._began_with_tls

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context of a new connection, None for a plain one.

        Raises:
            ConnectionRefusedError: The file is invalid, or has lost its TLS section since the start.
        """
        setup = self._current()
        if setup is None or (self._began_with_tls and setup.context is None):
            raise ConnectionRefusedError("the web configuration is invalid")
        return setup.context

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Return a blocking socket after the TLS handshake.

        Raises:
            OSError: The file is invalid, has lost its TLS section since the start, or the handshake failed.
        """
        context = self.context()
        if context is None:
            return connection
        wrapped = context.wrap_socket(connection, server_side=True)
        if not self.is_allowed(wrapped):
            wrapped.close()
            raise ssl.SSLError("the client's certificate has none of client_allowed_sans")
        return wrapped

    def is_allowed(self, connection: ssl.SSLSocket | ssl.SSLObject) -> bool:
        """Return whether the client's certificate has one of client_allowed_sans, where the file names any."""
        setup = self._setup
        return setup is not None and has_allowed_name(connection, setup.config.tls.client_allowed_sans)

    def refusal(self, authorization: str) -> Refusal | None:
        """Return why a request is refused: beyond the rate limit, or without valid credentials; else None.

        Args:
            authorization: The value of the Authorization header, empty without one. It takes some 50 ms to check one
                that was not seen before.
        """
        setup = self._current()
        if setup is None:
            return Refusal(500, "the web configuration is invalid")
        if not setup.bucket.allows():
            return Refusal(429, "Too Many Requests")
        if setup.passwords.allows(authorization):
            return None
        return Refusal(401, "Unauthorized", (("WWW-Authenticate", "Basic"),))

    def is_quick(self, authorization: str) -> bool:
        """Return whether `refusal` may be asked on an event loop: no password has to be checked for it."""
        setup = self._current()
        return setup is None or setup.passwords.is_quick(authorization)

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
        if not self._file:
            return Setup(WebConfig(), self._extra)
        # Stamps come before what is read: a change in between is then seen at the next request.
        stamp = _stamp(self._file)
        try:
            text = Path(self._file).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--web.config.file: {self._file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"--web.config.file: {self._file}: {error}") from error
        config = parse_web_config(text, self._file)
        tls = config.tls
        self._files = (self._file, *filter(None, (tls.cert_file, tls.key_file, tls.client_ca_file)))
        self._stamp = (stamp, *(_stamp(file) for file in self._files[1:]))
        return Setup(config, self._extra)

    def _look(self) -> Stamp:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)  # noqa: PTH116  # on every request
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
