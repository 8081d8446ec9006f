"""Waste: what is provided and was not used in days, how much less is enough, and whether less did any harm.

Pure: answers of Prometheus in, recommendations out. `waste_watch` (outside) asks for the history, `waste_followup` for
what a change did. A finding of waste is no finding: it lowers no health and belongs to no incident.
"""

from __future__ import annotations

from perfloop_analyzer.waste.kinds import KINDS, Kind
from perfloop_analyzer.waste.recommending import WASTE, Known, Waste, Wasted, find_waste, merge_waste
from perfloop_analyzer.waste.use import Learned, Use, learn_uses

__all__ = [
    "KINDS",
    "WASTE",
    "Kind",
    "Known",
    "Learned",
    "Use",
    "Waste",
    "Wasted",
    "find_waste",
    "learn_uses",
    "merge_waste",
]
