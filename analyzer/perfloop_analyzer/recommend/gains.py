"""A gain in words: how much less, and of what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend.recommendation import Improvement, Recommendation


def name_reduced(metric: str, finding: Finding, titles: Mapping[str, str]) -> str:
    """Return what a recommendation reduces, in words: the metric's title and where it is measured."""
    title = finding.title if metric == finding.signal else titles.get(metric) or metric.replace("_", " ")
    if metric != finding.signal:
        return f"{title} of {finding.service}"
    # A ratio that should be high has a gap to 100%, and that is what becomes less.
    lacking = f"Gap of {title} to 100%" if finding.direction == "below" else title
    return f"{lacking}{finding.place} of {finding.service}"


def gain_words(improvement: Improvement) -> str:
    """Return an expected gain as people read it: `API response time, 95th percentile of shop -40 to -56%`."""
    of = improvement.of or improvement.metric.replace("_", " ")
    cut_off = "at least " if improvement.at_least else ""
    return f"{of} {cut_off}{share_range(-improvement.low, -improvement.high)}"


def measured_words(recommendation: Recommendation) -> str:
    """Return a measured gain with what it is of and its interval; empty where none was measured."""
    measured = recommendation.values.get("measured")
    if not isinstance(measured, dict):
        return ""
    interval = share_range(-measured["low"], -measured["high"])
    gain = share_range(-measured["gain"], -measured["gain"])
    of = recommendation.gain_of or str(measured.get("metric", "")).replace("_", " ")
    return f"{of} {gain}" + (f" ({interval})" if interval != gain else "")


def proved_words(recommendation: Recommendation) -> str:
    """Return what a proof found, with its interval; empty where there is none."""
    proved = recommendation.values.get("proved")
    if not isinstance(proved, dict) or not proved.get("verdict"):
        return ""
    numbers = [proved.get(name) for name in ("gain", "low", "high")]
    if not all(isinstance(number, int | float) for number in numbers):
        return f"{proved['verdict']}: {proved.get('words', '')}"
    gain, low, high = (-float(number) for number in numbers if isinstance(number, int | float))
    of = recommendation.gain_of or recommendation.signal.replace("_", " ")
    return f"{proved['verdict']}: {of} {share_range(gain, gain)} ({share_range(low, high)})"


def share_range(low: float, high: float) -> str:
    """Return two shares as one range in percent; as one figure where both round to the same."""
    # Adding 0 makes the zero of a small negative number one without a sign.
    first, last = (f"{round(100 * share) + 0:d}" for share in (low, high))
    return f"{last}%" if first == last else f"{first} to {last}%"
