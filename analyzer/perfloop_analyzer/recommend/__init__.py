"""Recommendations: rules that answer findings, with a computed improvement."""

from __future__ import annotations

from perfloop_analyzer.recommend.engine import Context, recommend
from perfloop_analyzer.recommend.gains import gain_words, measured_words
from perfloop_analyzer.recommend.parts import find_parts, no_parts
from perfloop_analyzer.recommend.recommendation import Improvement, Recommendation, by_urgency
from perfloop_analyzer.recommend.rules import Rule, load_rules

__all__ = [
    "Context",
    "Improvement",
    "Recommendation",
    "Rule",
    "by_urgency",
    "find_parts",
    "gain_words",
    "load_rules",
    "measured_words",
    "no_parts",
    "recommend",
]
