"""What stands before the answers when there is a web configuration: TLS, passwords, headers, a rate limit.

The file is looked at on every connection and request and read anew when it, or a certificate, has changed. One that
became bad closes the door until it is good again: passwords are never dropped because of a typing mistake.
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

from perfloop_exporter.errors import ExporterError, UsageError
from perfloop_exporter.web.config import WebConfig, parse_web_config
from perfloop_exporter.web.messages import Request, Response, text_response
from perfloop_exporter.web.tls import build_context, has_allowed_name

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# An unknown user costs as much time as a known one: bcrypt, cost 10, of a password nobody has.
NOBODY = "$2b$10$2x8N55eL93gJozvZL/YnvekBt2QsJhU.OEiXYzTlKdKTvghN9pyIe"
REMEMBERED = 100

Stamp = tuple[tuple[int, int, int] | None, ...]

log = logging.getLogger("exporter.web.gate")


def load_bcrypt() -> Any:
    """The library that checks passwords."""
    try:
        import bcrypt
    except ImportError as error:
        raise UsageError(["basic_auth_users needs bcrypt: pip install 'perfloop[exporter]'"]) from error
    return bcrypt


class Passwords:
    """Checks user and password; what was found is remembered, since bcrypt is slow on purpose."""

    def __init__(self, users: dict[str, str]) -> None:
        self._users = users
        self._bcrypt: Any = load_bcrypt() if users else None
        self._known: dict[bytes, bool] = {}
        self._lock = threading.Lock()

    def allows(self, header: str) -> bool:
        """Whether the Authorization header names a user with the right password."""
        if self._bcrypt is None:
            return True
        found = parse_basic(header)
        if found is None:
            return False
        user, password = found
        key = hashlib.sha256(f"{len(user)}:{user}:{password}".encode()).digest()
        with self._lock:  # one at a time: it takes a core
            if key not in self._known:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[key] = self._check(user, password)
            return self._known[key]

    def _check(self, user: str, password: str) -> bool:
        hashed = self._users.get(user, NOBODY)
        try:
            return bool(self._bcrypt.checkpw(password.encode(), hashed.encode())) and user in self._users
        except ValueError:  # longer than bcrypt takes
            return False


def parse_basic(header: str) -> tuple[str, str] | None:
    """User and password of an Authorization header."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


class Bucket:
    """Lets one request through per interval, and a burst on top."""

    def __init__(self, interval_seconds: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._burst, self._now = interval_seconds, burst, now
        self._tokens, self._filled = float(burst), now()
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Take a token if there is one."""
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
    """The configuration of one moment, ready to be used."""

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self.context = build_context(config.tls) if config.tls.enabled else None
        self.passwords = Passwords(config.users)
        self.bucket = Bucket(config.interval_seconds, config.burst)


class ConfiguredGate:
    """A gate kept by the file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._files: tuple[str, ...] = (file,)
        self._stamp = self._look()
        self._setup: Setup | None = self._read()
        self._began_with_tls = self._setup.context is not None

    def wrap(self, connection: socket.socket) -> socket.socket:
        """The connection after the handshake; refused while the file is bad or has lost its TLS."""
        setup = self._current()
        if setup is None or (self._began_with_tls and setup.context is None):
            raise ConnectionRefusedError("the web configuration is not usable")
        if setup.context is None:
            return connection
        wrapped = setup.context.wrap_socket(connection, server_side=True)
        if not has_allowed_name(wrapped, setup.config.tls.client_allowed_sans):
            wrapped.close()
            raise ssl.SSLError("the client's certificate has none of client_allowed_sans")
        return wrapped

    def check(self, request: Request) -> Response | None:
        """The refusal of a request beyond the rate, or without a password that is needed."""
        setup = self._current()
        if setup is None:
            return text_response(500, "Internal Server Error\n")
        if not setup.bucket.allows():
            return text_response(429, "Too Many Requests\n")
        if setup.passwords.allows(request.headers.get("authorization", "")):
            return None
        return text_response(401, "Unauthorized\n")._replace(headers=(("WWW-Authenticate", "Basic"),))

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that the file adds."""
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
        except ExporterError as error:
            log.error("the web configuration is not usable: nothing is answered", extra={"why": str(error)})  # noqa: TRY400  # no trace
            return None
        log.info("read the web configuration anew", extra={"file": self._file})
        return setup

    def _read(self) -> Setup:
        try:
            text = Path(self._file).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError([f"--web.config.file: {self._file}: {error.strerror}"]) from error
        except UnicodeDecodeError as error:
            raise UsageError([f"--web.config.file: {self._file}: {error}"]) from error
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
