"""Label values and states, as words in the colour of their meaning: the same on every board."""

from __future__ import annotations

from boards import colours

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
