"""The rule base: from findings to what to do about them, with an improvement that is computed."""

from __future__ import annotations

from perfloop_analyzer.recommend.engine import Context, recommend
from perfloop_analyzer.recommend.recommendation import Improvement, Recommendation
from perfloop_analyzer.recommend.rules import Rule, load_rules

__all__ = ["Context", "Improvement", "Recommendation", "Rule", "load_rules", "recommend"]
