"""What must survive a restart: recommendations with their life, findings, baselines."""

from __future__ import annotations

from perfloop_analyzer.store.database import Database

__all__ = ["Database"]
