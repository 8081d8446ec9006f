"""Incidents: findings that belong together, with their possible causes ranked."""

from __future__ import annotations

from perfloop_analyzer.incidents.causes import Cause
from perfloop_analyzer.incidents.continuity import (
    Episode,
    Memory,
    carry_findings,
    carry_incidents,
    episode_key,
    is_cut,
    is_new,
    remember,
)
from perfloop_analyzer.incidents.grouping import Incident, group_incidents
from perfloop_analyzer.incidents.recall import RECALLED, recall
from perfloop_analyzer.incidents.topology import Topology, read_topology

__all__ = [
    "RECALLED",
    "Cause",
    "Episode",
    "Incident",
    "Memory",
    "Topology",
    "carry_findings",
    "carry_incidents",
    "episode_key",
    "group_incidents",
    "is_cut",
    "is_new",
    "read_topology",
    "recall",
    "remember",
]
