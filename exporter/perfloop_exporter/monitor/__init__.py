"""`performance_monitor`: record what the application knows, read it back, be told when a threshold is crossed."""

from __future__ import annotations

from perfloop_exporter.monitor.alerts import AlertEvent
from perfloop_exporter.monitor.metric import Retention
from perfloop_exporter.monitor.monitor import PerformanceMonitor
from perfloop_exporter.monitor.stats import MetricStats

__all__ = ["AlertEvent", "MetricStats", "PerformanceMonitor", "Retention", "performance_monitor"]

performance_monitor = PerformanceMonitor()
