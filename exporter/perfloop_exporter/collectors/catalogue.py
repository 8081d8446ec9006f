"""Every collector that this system has."""

from __future__ import annotations

import sys

if sys.platform == "linux":
    from perfloop_exporter.collectors.linux_catalogue import SPECS, ProcessCollector
else:
    from perfloop_exporter.collectors.portable.catalogue import SPECS, ProcessCollector

__all__ = ["SPECS", "ProcessCollector"]
