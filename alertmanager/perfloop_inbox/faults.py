"""Faults of the inbox: a channel responds with a chosen status, whatever is sent to it."""

from __future__ import annotations

from typing import Any

from perfloop_base.errors import ConfigError
from perfloop_inbox.messages import CHANNELS

# 400 to 599 are refusals in HTTP and in SMTP.
_HEALTHY = 200
_FIRST_ERROR, _LAST_ERROR = 400, 599


class ChannelFaults:
    """The channels with a fault, and the status that each responds with."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}

    def get(self, channel: str) -> int | None:
        """Return the status that a channel responds with, or None when it is healthy."""
        return self._statuses.get(channel)

    def to_dict(self) -> dict[str, int]:
        """Return every fault that is on."""
        return dict(self._statuses)

    def update(self, wanted: Any) -> None:
        """Set the named channels.

        Raises:
            ConfigError: one sentence per broken rule; nothing is changed.
        """
        problems = list(_find_problems(wanted))
        if problems:
            raise ConfigError(problems)
        for channel in CHANNELS:
            if channel in wanted:
                self._set(channel, wanted[channel])

    def heal(self) -> None:
        """End every fault."""
        self._statuses.clear()

    def _set(self, channel: str, status: int) -> None:
        if status == _HEALTHY:
            self._statuses.pop(channel, None)
        else:
            self._statuses[channel] = status


def _find_problems(wanted: Any) -> list[str]:
    if not isinstance(wanted, dict):
        return ["Faults must be a JSON object of channel and status."]
    known = ", ".join(CHANNELS)
    unknown = [f"{key!r} is an unknown channel: it must be one of {known}." for key in wanted if key not in CHANNELS]
    return unknown + [
        f"The status of {key} is {value!r}: it must be {_HEALTHY} (healthy) or from {_FIRST_ERROR} to {_LAST_ERROR}."
        for key, value in wanted.items()
        if key in CHANNELS and not _is_status(value)
    ]


def _is_status(value: Any) -> bool:
    return type(value) is int and (value == _HEALTHY or _FIRST_ERROR <= value <= _LAST_ERROR)
