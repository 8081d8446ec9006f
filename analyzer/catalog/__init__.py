"""The catalogue: every signal the analyzer knows, as YAML beside this file and in files of the user."""

from analyzer.catalog.limits import Limit, read_thresholds
from analyzer.catalog.loading import load_catalog
from analyzer.catalog.signals import Signal

__all__ = ["Limit", "Signal", "load_catalog", "read_thresholds"]
