"""The Grafana dashboards as code: one module for each board, `generation` writes them as JSON.

The boards follow a configuration directory: its `prometheus/thresholds.yml` and `slos.yml` say where a panel turns
orange and red, and the descriptions say the same numbers.
"""

from __future__ import annotations

import importlib
import warnings

# The SDK warns that its first schema is the older one; no Grafana before 12 loads the second from a file.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    for name in ("dashboard", "stat"):
        importlib.import_module(f"grafana_foundation_sdk.builders.{name}")
