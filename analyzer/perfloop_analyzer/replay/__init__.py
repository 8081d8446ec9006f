"""The analyzer over a Prometheus's past: what would have been found, and when."""

from __future__ import annotations

from perfloop_analyzer.replay.holds import read_holds
from perfloop_analyzer.replay.journal import Journal
from perfloop_analyzer.replay.progress import show_progress
from perfloop_analyzer.replay.running import check_past, make_plan, replay
from perfloop_analyzer.replay.scratch import Scratch
from perfloop_analyzer.replay.words import certificate_lines

__all__ = [
    "Journal",
    "Scratch",
    "certificate_lines",
    "check_past",
    "make_plan",
    "read_holds",
    "replay",
    "show_progress",
]
