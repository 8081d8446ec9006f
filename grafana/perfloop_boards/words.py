"""Label values and states as words in the colour of their meaning, the same on every board."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from perfloop_boards import colours

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def read_titles() -> dict[str, str]:
    """Return the titles of signals from the analyzer's catalogue, which is read as data: no code of it is imported."""
    catalogue = (
        file for file in files("perfloop_analyzer").joinpath("catalog").iterdir() if file.name.endswith(".yml")
    )
    texts = (file.read_text(encoding="utf-8") for file in sorted(catalogue, key=lambda file: file.name))
    signals = [one for text in texts for one in yaml.safe_load(text)["signals"]]
    return {one["name"]: one["title"] for one in signals if one.get("title")}


def name_signals(by_route: Sequence[str], after: str = "") -> dict[str, tuple[str, str]]:
    """Return the title of each signal with `after` behind it; a key between slashes is a regular expression.

    The signals of `by_route` can be judged for one route alone: the analyzer calls them `signal@route` then.
    """
    titles = read_titles()
    apart = {f"/^{name}@(.+)$/": f"{titles[name]}, $1{after}" for name in by_route if name in titles}
    named = {name: title + after for name, title in titles.items()}
    return {value: (text, colours.UNKNOWN) for value, text in {**named, **apart}.items()}


# Whether a goal of capacity is shown to be met.
GOAL = {
    "met": ("met", colours.GOOD),
    "not met": ("not met", colours.BAD),
    "not shown": ("not shown", colours.UNKNOWN),
}
SEVERITY = {
    "critical": ("critical", colours.BAD),
    "warning": ("warning", colours.WARNING),
    "info": ("info", colours.UNKNOWN),
    "none": ("none", colours.UNKNOWN),
}
PRIORITY = {
    "critical": ("critical", colours.BAD),
    "high": ("high", colours.WARNING),
    "medium": ("medium", colours.UNKNOWN),
    "low": ("low", colours.UNKNOWN),
}
# What the analyzer forecasts besides the signals of its catalogue.
BUDGETS = {"error_budget": ("Error budget", colours.UNKNOWN)}
# What limits a service, as the analyzer's own page calls it; the others are called by their name.
RESOURCE = {
    name: (title, colours.UNKNOWN)
    for name, title in {
        "api": "API",
        "cpu": "CPU",
        "gpu": "GPU",
        "vector": "vector search",
        "storage": "object storage",
        "database_pool": "database pool",
        "kv_cache": "KV cache",
        "response_time": "response time",
        "contention": "contention between requests",
    }.items()
}
UP = {"0": ("down", colours.BAD), "1": ("up", colours.GOOD)}
FIRING = {"1": ("warning", colours.WARNING), "2": ("critical", colours.BAD)}

# The life of a recommendation, as numbers that a timeline can draw.
STATE_NUMBERS = {
    "open": 1,
    "accepted": 2,
    "implemented": 3,
    "validated": 4,
    "refuted": 5,
    "dismissed": 6,
    "expired": 7,
    "confounded": 8,
    "healed": 9,
    "inconclusive": 10,
}
_STATE_COLOURS = {
    "open": colours.WARNING,
    "accepted": colours.FAST,
    "implemented": colours.TRAFFIC,
    "validated": colours.GOOD,
    "refuted": colours.BAD,
    "confounded": colours.WARNING,
}
STATE = {str(place): (state, _STATE_COLOURS.get(state, colours.OTHER)) for state, place in STATE_NUMBERS.items()}
