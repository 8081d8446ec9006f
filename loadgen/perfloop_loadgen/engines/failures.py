"""The outcome of a connection that could not be made, or that broke."""

from __future__ import annotations

import errno
import socket
import ssl

from perfloop_loadgen import outcomes

_BY_ERRNO = {
    errno.ECONNREFUSED: outcomes.CONNECTION_REFUSED,
    errno.ECONNRESET: outcomes.CONNECTION_RESET,
    errno.EPIPE: outcomes.CONNECTION_RESET,
    errno.EHOSTUNREACH: outcomes.UNREACHABLE,
    errno.ENETUNREACH: outcomes.UNREACHABLE,
    errno.EADDRNOTAVAIL: outcomes.NO_PORTS,
    errno.EMFILE: outcomes.NO_FILE_DESCRIPTORS,
    errno.ENFILE: outcomes.NO_FILE_DESCRIPTORS,
    errno.ETIMEDOUT: outcomes.CONNECT_TIMEOUT,
    # A Unix socket: no such file, and a file of a program that has ended.
    errno.ENOENT: outcomes.CONNECTION_REFUSED,
}
# Of several addresses that failed, the failure that says most about the service; any other one comes last. Without
# IPv6 on this machine, an IPv6 address fails as one whose ports are used up does.
_INFORMATIVE = (
    outcomes.NO_FILE_DESCRIPTORS,
    outcomes.CONNECTION_REFUSED,
    outcomes.CONNECTION_RESET,
    outcomes.CONNECT_TIMEOUT,
    outcomes.NO_PORTS,
    outcomes.UNREACHABLE,
)


class RefusedError(OSError):
    """A connection that was made and is of no use; `outcome` is the name it is counted under."""

    def __init__(self, outcome: str, detail: str = "") -> None:
        super().__init__(f"{outcomes.MEANINGS[outcome]}{': ' if detail else ''}{detail}")
        self.outcome = outcome


def outcome_of(error: OSError | ValueError) -> str:
    """Return the outcome of a connection that could not be made."""
    if isinstance(error, RefusedError):
        return error.outcome
    if not isinstance(error, OSError):
        return outcomes.CONNECT_FAILED  # a name that TLS cannot carry
    if isinstance(error, ssl.SSLError):
        return tls_outcome_of(error)
    if isinstance(error, socket.gaierror):
        return outcomes.DNS_FAILED
    # Without a number it is asyncio's timeout; with one it is the kernel's ETIMEDOUT, above.
    if isinstance(error, TimeoutError) and error.errno is None:
        return outcomes.CONNECT_TIMEOUT
    return _BY_ERRNO.get(error.errno or 0, outcomes.CONNECT_FAILED)


def tls_outcome_of(error: ssl.SSLError) -> str:
    """Return whose certificate an error of TLS is about, if it is about one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return outcomes.TLS_CERTIFICATE
    reason = error.reason or ""
    # An alert is the server's word: about this side's certificate, also where it has none (RFC 8446, section 6.2).
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return outcomes.TLS_CLIENT_CERTIFICATE
    return outcomes.TLS_FAILED


def most_informative(errors: list[OSError]) -> OSError:
    """Return the error that says most about the service, of one from each of its addresses."""
    return min(errors, key=lambda error: _rank(outcome_of(error)))


def _rank(outcome: str) -> int:
    return _INFORMATIVE.index(outcome) if outcome in _INFORMATIVE else len(_INFORMATIVE)
