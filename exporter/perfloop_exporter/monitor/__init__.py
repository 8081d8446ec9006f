"""`performance_monitor`: custom metrics of an application, their statistics, thresholds and alert callbacks."""

from __future__ import annotations

from perfloop_exporter.monitor.alerts import AlertEvent
from perfloop_exporter.monitor.metric import Retention
from perfloop_exporter.monitor.monitor import PerformanceMonitor
from perfloop_exporter.monitor.stats import MetricStats

__all__ = ["AlertEvent", "MetricStats", "PerformanceMonitor", "Retention", "performance_monitor"]

performance_monitor = PerformanceMonitor()
