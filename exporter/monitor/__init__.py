"""`performance_monitor`: record what the application knows, read it back, be told when a threshold is crossed."""

from exporter.monitor.alerts import AlertEvent
from exporter.monitor.metric import Retention
from exporter.monitor.monitor import PerformanceMonitor
from exporter.monitor.stats import MetricStats

__all__ = ["AlertEvent", "MetricStats", "PerformanceMonitor", "Retention", "performance_monitor"]

performance_monitor = PerformanceMonitor()
