"""What must survive a restart: recommendations with their life, findings, baselines."""

from perfloop_analyzer.store.database import Database

__all__ = ["Database"]
