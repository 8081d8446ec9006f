"""The way to any Prometheus API: asking under a budget, and decoding answers into arrays."""

from __future__ import annotations

from perfloop_analyzer.prometheus_api.client import PrometheusSource

__all__ = ["PrometheusSource"]
