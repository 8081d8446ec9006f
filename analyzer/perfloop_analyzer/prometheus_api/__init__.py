"""Client of any Prometheus API: queries within a budget, responses decoded into arrays."""

from __future__ import annotations

from perfloop_analyzer.prometheus_api.client import PrometheusSource

__all__ = ["PrometheusSource"]
