"""Scaling: how many replicas a service should have for the load of the next minutes."""

from __future__ import annotations

from perfloop_analyzer.planning.scaling.ahead import Ahead, load_ahead
from perfloop_analyzer.planning.scaling.needs import Demand, Fleet, Need, find_needs
from perfloop_analyzer.planning.scaling.policy import Decision, Seen, State, decide
from perfloop_analyzer.planning.scaling.replicas import Replicas

__all__ = [
    "Ahead",
    "Decision",
    "Demand",
    "Fleet",
    "Need",
    "Replicas",
    "Seen",
    "State",
    "decide",
    "find_needs",
    "load_ahead",
]
