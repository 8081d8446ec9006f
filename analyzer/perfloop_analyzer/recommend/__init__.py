"""Recommendations: rules that answer findings, with a computed improvement."""

from __future__ import annotations

from perfloop_analyzer.recommend.engine import Context, recommend
from perfloop_analyzer.recommend.estimates import Course
from perfloop_analyzer.recommend.gains import gain_words, measured_words
from perfloop_analyzer.recommend.parts import find_parts, no_parts
from perfloop_analyzer.recommend.recommendation import Improvement, Recommendation, by_urgency
from perfloop_analyzer.recommend.rightsizing import SIZED_SIGNALS, Usage, learn_usage
from perfloop_analyzer.recommend.rules import Rule, load_rules

__all__ = [
    "SIZED_SIGNALS",
    "Context",
    "Course",
    "Improvement",
    "Recommendation",
    "Rule",
    "Usage",
    "by_urgency",
    "find_parts",
    "gain_words",
    "learn_usage",
    "load_rules",
    "measured_words",
    "no_parts",
    "recommend",
]
