"""The page at `/`: what is wrong and what to do, readable by a person without Grafana."""

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analyzer.ports import Result
from analyzer.reporters.metrics import Published

TEMPLATES = Path(__file__).parent / "templates"
UNITS = {"seconds": "s", "ratio": "", "bytes": "B", "per_second": "/s", "bytes_per_second": "B/s"}


def render_page(published: Published, now: float) -> str:
    """Render the page; it reloads itself."""
    result: Result | None = published.result
    return _environment().get_template("page.html").render(result=result, costs=published.costs, now=now)


def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(clock=clock, quantity=quantity, mood=mood)
    return environment


def clock(seconds: float) -> str:
    """Return a moment as a person writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit, short."""
    if unit == "ratio":
        return f"{value:.1%}"
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit.startswith("bytes") and abs(value) >= limit:
            return f"{value / limit:.3g} {letter}{UNITS[unit]}"
    if unit == "seconds" and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} {UNITS.get(unit, unit)}".rstrip()


def mood(score: float) -> str:
    """Return the word for a score."""
    return "good" if score >= 90 else "fair" if score >= 70 else "bad"  # noqa: PLR2004 - three moods, two borders
