"""Recommendations: rules that answer findings, with a computed improvement."""

from __future__ import annotations

from perfloop_analyzer.recommend.engine import Context, recommend
from perfloop_analyzer.recommend.estimates import Course
from perfloop_analyzer.recommend.gains import gain_words, measured_words, proved_words
from perfloop_analyzer.recommend.money import money_words, with_money
from perfloop_analyzer.recommend.parts import find_parts, no_parts
from perfloop_analyzer.recommend.recommendation import Improvement, Recommendation, by_urgency
from perfloop_analyzer.recommend.rightsizing import SIZED_SIGNALS, Usage, learn_usage
from perfloop_analyzer.recommend.rules import Rule, load_rules
from perfloop_analyzer.recommend.track_record import TrackRecord, learn_track_records

__all__ = [
    "SIZED_SIGNALS",
    "Context",
    "Course",
    "Improvement",
    "Recommendation",
    "Rule",
    "TrackRecord",
    "Usage",
    "by_urgency",
    "find_parts",
    "gain_words",
    "learn_track_records",
    "learn_usage",
    "load_rules",
    "measured_words",
    "money_words",
    "no_parts",
    "proved_words",
    "recommend",
    "with_money",
]
