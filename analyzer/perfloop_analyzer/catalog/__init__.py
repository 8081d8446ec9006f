"""The catalogue: every signal that the analyzer reads, from YAML files beside this one and from files of the user."""

from __future__ import annotations

from perfloop_analyzer.catalog.loading import load_catalog
from perfloop_analyzer.catalog.signals import Limit, Signal

__all__ = ["Limit", "Signal", "load_catalog"]
