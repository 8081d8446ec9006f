"""The way to any Prometheus API: asking under a budget, and decoding answers into arrays."""

from perfloop_analyzer.prometheus_api.client import PrometheusSource

__all__ = ["PrometheusSource"]
