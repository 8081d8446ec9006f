"""Findings over time: one row from the first cycle that saw it to the last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from perfloop_analyzer.store.tables import FindingRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from perfloop_analyzer.findings import Finding

SAME_SECONDS = 120.0
KEEP_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class PastFinding:
    """A finding with the span in which it stood."""

    first_seen: float
    last_seen: float
    body: dict[str, Any]


def write_findings(session: Session, findings: Sequence[Finding], at: float) -> None:
    """Lengthen the rows of findings that stand, start rows for new ones, drop what is a month old."""
    keys = {_key(finding): finding for finding in findings}
    recent = select(FindingRow).where(FindingRow.last_seen >= at - SAME_SECONDS)
    standing = {row.key: row for row in session.scalars(recent.where(FindingRow.key.in_(keys)))} if keys else {}
    for key, finding in keys.items():
        row = standing.get(key)
        if row is None:
            row = FindingRow(
                key=key,
                service=finding.service[:120],
                signal=finding.signal[:120],
                detector=finding.detector,
                first_seen=min(finding.onset, at),
                last_seen=at,
                body=finding.as_dict(),
            )
            session.add(row)
        row.last_seen, row.body = at, finding.as_dict()
    session.execute(delete(FindingRow).where(FindingRow.last_seen < at - KEEP_SECONDS))


def read_findings(session: Session, since: float) -> tuple[PastFinding, ...]:
    """Return what stood at or after a moment, newest first."""
    query = select(FindingRow).where(FindingRow.last_seen >= since).order_by(FindingRow.last_seen.desc())
    return tuple(PastFinding(row.first_seen, row.last_seen, dict(row.body)) for row in session.scalars(query))


def _key(finding: Finding) -> str:
    """The same series, signal and detector is the same finding while it stands."""
    text = repr((finding.service, finding.signal, finding.detector, sorted(finding.labels.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:64]
