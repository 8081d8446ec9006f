"""Label values and states, as words in the colour of their meaning: the same on every board."""

from __future__ import annotations

from boards import colours
from boards.signals import read_titles

SIGNAL = {name: (title, colours.UNKNOWN) for name, title in read_titles().items()}
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
