"""Client of any Prometheus API: queries within a budget, responses decoded into arrays, and kept."""

from __future__ import annotations

from perfloop_analyzer.prometheus_api.client import PrometheusSource
from perfloop_analyzer.prometheus_api.pieces import Pieces
from perfloop_analyzer.prometheus_api.tails import TailCache

__all__ = ["Pieces", "PrometheusSource", "TailCache"]
