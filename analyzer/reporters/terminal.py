"""The result for a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from analyzer.ports import Result
from analyzer.recommend import Recommendation


def print_result(result: Result, console: Console) -> None:
    """Print health, incidents and recommendations."""
    for one in result.health:
        parts = ", ".join(f"{signal} -{cost:g}" for signal, cost in one.penalties.items()) or "nothing wrong"
        console.print(f"health of {one.service}: {one.score:g} ({parts})", highlight=False, markup=False)
    for incident in result.incidents:
        first = incident.causes[0]
        console.print(
            f"incident {incident.id} ({incident.severity.word}): most likely {first.component} of {first.service}, "
            f"{first.score:.0%} of the blame; {'; '.join(first.evidence)}",
            highlight=False,
            markup=False,
        )
    if result.recommendations:
        print_recommendations(result.recommendations, console)
    for signal, reason in result.failures.items():
        console.print(f"no answer for {signal}: {reason}", highlight=False, markup=False)


def print_recommendations(recommendations: Sequence[Recommendation], console: Console) -> None:
    """Print one row a recommendation."""
    table = Table(title="Recommendations")
    for column in ("priority", "title", "state", "expected improvement", "id"):
        table.add_column(column)
    for made in recommendations:
        gain = made.improvement.explanation if made.improvement else "not computable from what is measured"
        table.add_row(made.priority, made.title, made.state, gain, made.id)
    console.print(table)
