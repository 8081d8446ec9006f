"""Baselines: seasonal profiles that outlive the process, so that a restart does not forget what a Monday looks like."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from perfloop_analyzer.store.tables import BaselineRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session


def write_baselines(session: Session, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
    """Write each signal's baseline over the one before."""
    for signal, body in baselines.items():
        key = hashlib.sha256(signal.encode()).hexdigest()[:64]
        session.merge(BaselineRow(key=key, signal=signal[:120], updated=at, body=dict(body)))


def read_baselines(session: Session, since: float) -> dict[str, dict[str, Any]]:
    """Return every signal's baseline that is not older than a moment."""
    query = select(BaselineRow).where(BaselineRow.updated >= since)
    return {row.signal: dict(row.body) for row in session.scalars(query)}
