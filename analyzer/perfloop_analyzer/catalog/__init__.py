"""The catalogue: every signal the analyzer knows, as YAML beside this file and in files of the user."""

from __future__ import annotations

from perfloop_analyzer.catalog.limits import Limit, read_thresholds
from perfloop_analyzer.catalog.loading import load_catalog
from perfloop_analyzer.catalog.signals import Signal

__all__ = ["Limit", "Signal", "load_catalog", "read_thresholds"]
