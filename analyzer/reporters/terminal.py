"""The result for a terminal."""

from rich.console import Console
from rich.table import Table

from analyzer.ports import Result


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
        console.print(_recommendations(result))
    for signal, reason in result.failures.items():
        console.print(f"no answer for {signal}: {reason}", highlight=False, markup=False)


def _recommendations(result: Result) -> Table:
    table = Table(title="Recommendations")
    for column in ("priority", "title", "state", "expected improvement"):
        table.add_column(column)
    for made in result.recommendations:
        gain = made.improvement.explanation if made.improvement else "not computable from what is measured"
        table.add_row(made.priority, made.title, made.state, gain)
    return table
