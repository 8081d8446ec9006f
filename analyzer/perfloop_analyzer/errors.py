"""Everything that can go wrong in the analyzer, as one tree.

PerfloopError                    one sentence and an exit code (perfloop_base)
├── ConfigError                  a flag, a catalogue, rules or thresholds file breaks rules; carries every problem
├── ListenError                  the listen address is taken
├── StoreError                   the database is locked, full or unreachable
│   ├── NewerStoreError          a newer version wrote it: it is left alone
│   └── LeaseLostError           another analyzer publishes: this one may not write
└── AnalyzerError
    ├── SourceError              Prometheus gave no usable answer
    │   ├── SourceUnavailable    it did not answer, or answered 429 or 5xx (a retry may help)
    │   ├── QueryRejected        it rejected the query: 400, 422, ... (a retry does not help)
    │   │   └── CredentialRefused   it refused who asks, or there is nothing to ask with: the same for every query
    │   └── BadAnswer            its answer is not what the Prometheus API specifies
    ├── NotRunningError          neither a running analyzer nor its database was found
    ├── AccessError              the running analyzer refused the token, or none was found
    └── NotFoundError            no recommendation has that id
        └── TransitionError      the recommendation's state does not allow this step
"""

from __future__ import annotations

from perfloop_base.errors import ConfigError, ExitCode, ListenError, NewerStoreError, PerfloopError, StoreError

__all__ = [
    "AccessError",
    "AnalyzerError",
    "BadAnswer",
    "ConfigError",
    "CredentialRefused",
    "LeaseLostError",
    "ListenError",
    "NewerStoreError",
    "NotFoundError",
    "NotRunningError",
    "QueryRejected",
    "SourceError",
    "SourceUnavailable",
    "StoreError",
    "TransitionError",
]


class AnalyzerError(PerfloopError):
    """Anything that the analyzer refuses or cannot do, as one sentence."""


class LeaseLostError(StoreError):
    """Another analyzer has the lease of the database: what this one found is not written."""


class SourceError(AnalyzerError):
    """Prometheus gave no usable answer."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE


class SourceUnavailable(SourceError):  # noqa: N818 - reads as what happened
    """Prometheus did not answer in time, or asked to be queried later: after so many seconds, where it says so."""

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class QueryRejected(SourceError):  # noqa: N818 - reads as what happened
    """Prometheus rejected the expression."""


class CredentialRefused(QueryRejected):
    """Prometheus, or whoever vouches for the analyzer, refused its credential; no other query fares better."""


class BadAnswer(SourceError):  # noqa: N818 - reads as what happened
    """The answer is not what the Prometheus API specifies."""


class NotRunningError(AnalyzerError):
    """Neither a running analyzer nor its database was found."""

    exit_code = ExitCode.NOT_RUNNING


class AccessError(AnalyzerError):
    """The running analyzer refused the token, or no token was found."""


class NotFoundError(AnalyzerError):
    """No recommendation has that id."""


class TransitionError(NotFoundError):
    """The recommendation's state does not allow this step."""
