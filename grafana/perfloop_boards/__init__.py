"""The boards: one file each, built from small named builders; build.py writes them as JSON."""

from __future__ import annotations

import importlib
import warnings

# The SDK would rather have everyone on its second schema, which no Grafana before 12 loads from a file.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    for name in ("dashboard", "stat"):
        importlib.import_module(f"grafana_foundation_sdk.builders.{name}")
