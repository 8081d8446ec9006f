"""The analysis of one cycle: batches in, a result out; pure, so that tests and replays can run it."""

from __future__ import annotations

from perfloop_analyzer.pipeline.cycle import Knowledge, analyze, name_parts, part_queries
from perfloop_analyzer.pipeline.detect import Settings
from perfloop_analyzer.pipeline.history import History, history_queries, learn, pack, unpack
from perfloop_analyzer.pipeline.novelties import NoveltyWatch

__all__ = [
    "History",
    "Knowledge",
    "NoveltyWatch",
    "Settings",
    "analyze",
    "history_queries",
    "learn",
    "name_parts",
    "pack",
    "part_queries",
    "unpack",
]
