"""Label values and states, as words in the colour of their meaning: the same on every board."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.signals import read_judged_apart, read_titles


def name_signals(after: str = "") -> dict[str, tuple[str, str]]:
    """Each signal as people call it, `after` behind its name; a key between slashes is a pattern."""
    titles = read_titles()
    apart = {f"/^{name}@(.+)$/": f"{titles[name]}, $1{after}" for name in read_judged_apart() if name in titles}
    named = {name: title + after for name, title in titles.items()}
    return {value: (text, colours.UNKNOWN) for value, text in {**named, **apart}.items()}


SIGNAL = name_signals()
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
UP = {"0": ("down", colours.BAD), "1": ("up", colours.GOOD)}
FIRING = {"1": ("warning", colours.WARNING), "2": ("critical", colours.BAD)}
VERDICT = {
    "0": ("invalid", colours.UNKNOWN),
    "1": ("failed", colours.BAD),
    "2": ("passed", colours.GOOD),
}

# The life of a recommendation, as numbers that a timeline can draw.
STATE_NUMBERS = {
    "open": 1,
    "accepted": 2,
    "implemented": 3,
    "validated": 4,
    "refuted": 5,
    "dismissed": 6,
    "expired": 7,
}
_STATE_COLOURS = {
    "open": colours.WARNING,
    "accepted": colours.FAST,
    "implemented": colours.TRAFFIC,
    "validated": colours.GOOD,
    "refuted": colours.BAD,
}
STATE = {str(place): (state, _STATE_COLOURS.get(state, colours.OTHER)) for state, place in STATE_NUMBERS.items()}
