"""Recommendations in PromQL: their words and their worth are two metrics, joined by id."""

from __future__ import annotations

from perfloop_boards.queries import selector

OPEN = 'state=~"open|accepted"'
WORDS = "service, category, priority, title, state"


def worth_of(*matchers: str, worth: str = "expected") -> str:
    """The expected (or measured) improvement of each recommendation, with its words as labels."""
    # Grouped on both sides: a second analyzer, or a state that has just changed, must not break the join.
    info = f"max by (id, {WORDS}) (perfloop_recommendation_info{selector(*matchers)})"
    value = f"max by (id) (perfloop_recommendation_{worth}_improvement_ratio)"
    return f"{info} * on (id) group_left () {value}"
