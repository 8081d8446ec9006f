"""What is known of a stored run without reading its document."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.summary.document import State, iso_time
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from perfloop_loadgen.summary.document import Document


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run as lists show it.

    Attributes:
        started_unix: When it began, in Unix seconds.
        rate: Requests per second over the whole run.
        p50_seconds: Median response time from the intended start; None of a run without answers, as the others.
    """

    run_id: str
    test: str
    started_unix: float
    duration_seconds: float
    profile: str
    base_url: str
    state: str
    verdict: str
    config_hash: str
    revision: str
    host: str
    requests: int
    failed: int
    rate: float
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Document) -> StoredRun:
        """Return what a list shows of a document."""
        summary, times = document.summary, document.summary.total.response.quantiles_seconds
        return cls(
            run_id=document.run_id,
            test=summary.name,
            started_unix=datetime.fromisoformat(document.started_at).timestamp(),
            duration_seconds=summary.duration_seconds,
            profile=document.profile,
            base_url=document.base_url,
            state=document.state.value,
            verdict=summary.verdict.value,
            config_hash=document.config_hash,
            revision=document.revision,
            host=document.host.name,
            requests=summary.total_requests,
            failed=summary.failed_requests,
            rate=summary.requests_per_second,
            p50_seconds=times.get("p50"),
            p95_seconds=times.get("p95"),
            p99_seconds=times.get("p99"),
            labels=dict(document.labels),
        )

    @property
    def passed(self) -> bool:
        """Return whether the run came to its end and passed."""
        return self.state == State.ENDED and self.verdict == Verdict.PASSED

    @property
    def is_usable(self) -> bool:
        """Return whether other runs can be compared with it: it ended, and the generator was not the limit."""
        return self.state == State.ENDED and self.verdict != Verdict.INVALID

    @property
    def how(self) -> str:
        """Return how the run went, in a word: its verdict, or that it did not come to its end."""
        return self.verdict if self.state == State.ENDED else self.state

    @property
    def failed_ratio(self) -> float:
        """Return failed requests over all; 0 without requests."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def started_at(self) -> str:
        """Return when it began, in ISO 8601 and UTC."""
        return iso_time(self.started_unix)

    @property
    def day(self) -> str:
        """Return when it began as people read it, `2026-11-29 14:05:07Z`."""
        return f"{datetime.fromtimestamp(self.started_unix, UTC):%Y-%m-%d %H:%M:%S}Z"

    def as_dict(self) -> dict[str, Any]:
        """Return the run for JSON."""
        return asdict(self) | {"started_at": self.started_at}


@dataclass(frozen=True, slots=True)
class Baseline:
    """Runs of one test that others are compared with, under a name; each test has its own runs under the same name.

    Attributes:
        set_unix: When it was set, in Unix seconds.
    """

    name: str
    test: str
    run_ids: tuple[str, ...]
    set_unix: float

    def as_dict(self) -> dict[str, Any]:
        """Return the baseline for JSON."""
        return asdict(self) | {"set_at": iso_time(self.set_unix)}
