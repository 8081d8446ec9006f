"""Silences as people write and read them: matchers in one line, how long, by whom and why.

The form of a matcher is that of Alertmanager's own pages and of `amtool`: `{alertname="A", instance=~"web.+"}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError

_MATCHER = re.compile(r'\s*(?P<name>[a-zA-Z_]\w*)\s*(?P<how>=~|!~|!=|=)\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")
_SIGNS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return it as Alertmanager's API has it."""
        return {"name": self.name, "value": self.value, "isRegex": self.is_regex, "isEqual": self.is_equal}

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{_SIGNS[self.is_regex, self.is_equal]}"{value}"'


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a filter, with or without its braces.

    Raises:
        ConfigError: one sentence with what cannot be read.
    """
    rest = text.strip().removeprefix("{").removesuffix("}").strip()
    found: list[Matcher] = []
    while rest:
        match = _MATCHER.match(rest)
        if match is None:
            raise ConfigError(f'The filter has {rest[:60]!r}; a matcher must be name="value", and so on with commas.')
        how = match["how"]
        value = _ESCAPED.sub(lambda one: {"n": "\n"}.get(one[1], one[1]), match["value"])
        found.append(Matcher(match["name"], value, "~" in how, not how.startswith("!")))
        rest = rest[match.end() :].strip()
    return tuple(found)


def read_matcher(matcher: dict[str, Any]) -> Matcher:
    """Return a matcher of Alertmanager's API; before 0.22 there was no isEqual."""
    return Matcher(
        str(matcher["name"]), str(matcher["value"]), bool(matcher["isRegex"]), bool(matcher.get("isEqual", True))
    )


def build_silence(wish: Any, now: datetime) -> dict[str, Any]:
    """Return the silence that a person asks for, as Alertmanager's API takes it.

    Args:
        wish: `matchers`, `duration`, `author` and `comment` as texts.
        now: when it begins.

    Raises:
        ConfigError: with every problem of the wish.
    """
    if not isinstance(wish, dict):
        raise ConfigError("A silence must be a JSON object with matchers, duration, author and comment.")
    problems: list[str] = []
    matchers: tuple[Matcher, ...] = ()
    try:
        matchers = parse_matchers(str(wish.get("matchers") or ""))
    except ConfigError as error:
        problems += error.problems
    else:
        if not any(one.is_equal and one.value for one in matchers):
            problems.append('A silence needs a matcher such as alertname="…": one of every alert is refused.')
    seconds = _read_duration(str(wish.get("duration") or ""), problems)
    texts = {name: str(wish.get(name) or "").strip()[:_MAX_TEXT] for name in ("author", "comment")}
    problems += [
        f"{name} is missing: others must know who silenced this, and why." for name in texts if not texts[name]
    ]
    if problems:
        raise ConfigError(problems)
    return {
        "matchers": [one.to_dict() for one in matchers],
        "startsAt": now.astimezone(UTC).isoformat(),
        "endsAt": (now.astimezone(UTC) + timedelta(seconds=seconds)).isoformat(),
        "createdBy": texts["author"],
        "comment": texts["comment"],
    }


def _read_duration(text: str, problems: list[str]) -> float:
    try:
        return parse_positive_duration(text)
    except ValueError:
        problems.append(f"duration has the value {text!r}; it must be a time such as 30m, 2h or 1d.")
        return 0.0


def show_labels(labels: dict[str, str]) -> str:
    """Return labels as a filter that a silence of exactly this alert has, but for those that only sort alerts."""
    named = (Matcher(name, value) for name, value in sorted(labels.items()) if name not in SORTING)
    return "{" + ", ".join(map(str, named)) + "}"


# One severity of an alert is silenced with the other; the rest follows from the alert's name.
SORTING = ("severity", "category", "component", "owner", "signal")
