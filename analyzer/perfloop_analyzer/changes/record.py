"""One change, as it is recorded and shown."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.moments import parse_moment
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEEP_SECONDS = 7 * 86_400.0
MOST = 50
MOST_TITLES = 3
OWNER = "analyzer"  # the service that a change of the configuration is about
SAME_SECONDS = 90.0  # what is seen twice within this time is one change
CLOCK_SECONDS = 60.0  # how far the clock of whoever records a change may be ahead
LONGEST_SERVICE, LONGEST_TITLE = 120, 200
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_FIELDS = frozenset({"service", "title", "version", "kind", "at"})


class Kind:
    """The kinds that the analyzer itself records; people may use any word."""

    RECOMMENDATION = "recommendation"
    CONFIGURATION = "configuration"
    DEPLOYMENT = "deployment"
    RESTART = "restart"
    SCALE = "scale"
    LOAD_TEST = "load_test"
    OTHER = "change"


@dataclass(frozen=True, slots=True)
class Change:
    """One recorded change.

    Attributes:
        id: The same for the same change.
        at: When it was made, in Unix seconds.
        kind: One of `Kind`, or a word of the person who recorded it.
        title: What was changed, in one line.
    """

    id: str
    at: float
    service: str
    kind: str
    title: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


def seen(kind: str, service: str, title: str, at: float) -> Change:
    """Return a change that Prometheus shows."""
    return Change(identify(kind, f"{service}/{title}", at), at, service, kind, title)


def implemented(identifier: str, service: str, title: str, at: float) -> Change:
    """Return the change that a recommendation was implemented."""
    kind = Kind.RECOMMENDATION
    return Change(identify(kind, identifier, at), at, service, kind, f"implemented: {title}")


def configured(titles: Sequence[str], at: float) -> Change:
    """Return the change that other limits, rules or signals are in use; `titles` are of signals with other limits."""
    shown = ", ".join(titles[:MOST_TITLES])
    rest = f" and {len(titles) - MOST_TITLES} more" if len(titles) > MOST_TITLES else ""
    what = f"limits changed: {shown}{rest}" if titles else "signals, rules or call graph changed"
    return Change(identify(Kind.CONFIGURATION, what, at), at, OWNER, Kind.CONFIGURATION, what)


def read_change(body: Mapping[str, Any], now: float) -> Change:
    """Return the change that a person or a program records.

    Args:
        body: `service` and `title`, `version` or both; optionally `kind` (a word; `deployment` where there is a
            version) and `at` (a moment, see `moments`).
        now: The present, in Unix seconds.

    Raises:
        ValueError: With every problem, one sentence each, separated by semicolons.
    """
    problems = [
        f"{visible(str(name)[:40])!r} is not known: a change has {_listed(_FIELDS)}" for name in body.keys() - _FIELDS
    ]
    service = _text(body, "service", LONGEST_SERVICE, problems)
    title = _text(body, "title", LONGEST_TITLE, problems)
    version = _text(body, "version", LONGEST_SERVICE, problems)
    if not service and "service" not in _named(problems):
        problems.append("service is missing: a change is about one")
    if not title and not version:
        problems.append("title and version are missing: a change has one of them, or both")
    kind = body.get("kind") or (Kind.DEPLOYMENT if version else Kind.OTHER)
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        problems.append(
            f"kind has value {visible(str(kind)[:40])!r}: it must be a word of at most 32 of a-z, 0-9 and _"
        )
    at = _moment(body.get("at"), now, problems)
    if problems:
        raise ValueError("; ".join(problems))
    went = f"went to {version}" if version else ""
    what = visible(": ".join(part for part in (went, title) if part))[:LONGEST_TITLE]
    return Change(identify(str(kind), f"{service}/{what}", at), at, visible(service), str(kind), what)


def is_same(one: Change, other: Change) -> bool:
    """Return whether two are one change, seen twice."""
    return (one.kind, one.service, one.title) == (other.kind, other.service, other.title) and abs(
        one.at - other.at
    ) <= SAME_SECONDS


def identify(kind: str, what: str, at: float) -> str:
    """Return the id of a change of something at a moment."""
    digest = hashlib.sha256(f"{what}/{at:.0f}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{kind}-{digest}"


def _text(body: Mapping[str, Any], name: str, longest: int, problems: list[str]) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        problems.append(
            f"{name} has value {visible(str(value)[:40])!r}: it must be a text of 1 to {longest} characters"
        )
        return ""
    return value.strip()


def _moment(value: object, now: float, problems: list[str]) -> float:
    if value is None:
        return now
    try:
        at = parse_moment(str(value))
    except ValueError as error:
        problems.append(f"at: {error}")
        return now
    if at > now + CLOCK_SECONDS:
        problems.append(f"at is {at - now:.0f} s in the future: a change is recorded when it was made")
    elif at < now - KEEP_SECONDS:
        days = KEEP_SECONDS / 86_400
        problems.append(f"at is {(now - at) / 86_400:.1f} days ago: changes are kept for {days:.0f} days")
    return min(at, now)


def _named(problems: Sequence[str]) -> set[str]:
    return {problem.split(" ", 1)[0] for problem in problems}


def _listed(names: Sequence[str] | frozenset[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}"
