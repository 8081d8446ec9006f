"""Incidents: findings that belong together, with their possible causes ranked."""

from __future__ import annotations

from perfloop_analyzer.incidents.causes import Cause, rank_causes
from perfloop_analyzer.incidents.continuity import (
    Episode,
    Memory,
    carry_findings,
    carry_incidents,
    episode_key,
    is_cut,
    is_new,
    remember,
    remembered_movement,
    series_hash,
)
from perfloop_analyzer.incidents.grouping import Incident, group_incidents, rank_services
from perfloop_analyzer.incidents.recall import RECALLED, recall
from perfloop_analyzer.incidents.topology import Topology, is_calls, read_topology
from perfloop_analyzer.incidents.walk import Movement

__all__ = [
    "RECALLED",
    "Cause",
    "Episode",
    "Incident",
    "Memory",
    "Movement",
    "Topology",
    "carry_findings",
    "carry_incidents",
    "episode_key",
    "group_incidents",
    "is_calls",
    "is_cut",
    "is_new",
    "rank_causes",
    "rank_services",
    "read_topology",
    "recall",
    "remember",
    "remembered_movement",
    "series_hash",
]
