"""The result for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.reporters.formatting import clock, worst_first
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation


def print_result(result: Result, console: Console) -> None:
    """Print health, incidents and recommendations: what matters most comes first."""
    titles = {finding.signal: finding.title for finding in result.findings}
    ranked = worst_first(result.health)
    for one in ranked:
        parts = ", ".join(f"{titles.get(signal, signal)} -{cost:g}" for signal, cost in one.penalties.items())
        if parts:
            _say(console, f"health of {one.service}: {one.score:g} ({parts})")
    sound = [one.service for one in ranked if not one.penalties]
    if sound:
        _say(console, f"health of {', '.join(sound)}: 100 (nothing wrong)")
    for incident in result.incidents:
        first, *others = incident.causes
        _say(console, "")
        _say(
            console,
            f"{incident.severity.word} for {span(result.at - incident.started)}, since {clock(incident.started)}: most "
            f"likely {first.component} of {first.service}, {first.score:.0%} of the blame ({incident.id})",
        )
        for line in first.evidence:
            _say(console, f"  {line}")
        for cause in others:
            _say(
                console, f"  also {cause.component} of {cause.service}, {cause.score:.0%}: {'; '.join(cause.evidence)}"
            )
    print_recommendations(result.recommendations, console)
    for signal, reason in result.failures.items():
        _say(console, f"no answer for {signal}: {reason}")


def print_recommendations(recommendations: Sequence[Recommendation], console: Console) -> None:
    """Print each recommendation with what it brings and its id, whole, to be copied."""
    for made in recommendations:
        _say(console, "")
        _say(console, f"{made.priority}: {made.title}")
        _say(console, f"  {made.action}")
        gain = made.improvement.explanation if made.improvement else "not computable from what is measured"
        _say(console, f"  expected: {gain}")
        if "measured" in made.values:
            measured = made.values["measured"]
            _say(console, f"  measured: {measured['gain']:.0%} ({measured['low']:.0%} to {measured['high']:.0%})")
        _say(console, f"  {made.state}, id {made.id}")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
