"""Capacity: the highest rate that keeps the objectives, from load tests and from live traffic."""

from __future__ import annotations

from perfloop_analyzer.planning.capacity.model import Capacity, Curve

__all__ = ["Capacity", "Curve"]
