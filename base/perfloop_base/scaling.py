"""The one schema and reader of `prometheus/scaling.yml`: how many replicas a service may have, and what it shall carry.

A service takes from `defaults` what its own entry does not give, and from SCALING_FIELDS what neither gives.
Dataclasses and located.py, no pydantic: see there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perfloop_base.durations import parse_duration
from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, Field, parse_located, read_located
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MOST_REPLICAS = 10_000
LONGEST_SECONDS = 86_400.0  # of every duration of the file: it is about minutes
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.0, 0.999

SCALING_FIELDS = (
    Field(
        name="min_replicas",
        kind="number",
        required=False,
        default=1.0,
        about="never fewer; 0 allows scaling to zero, and is asked for only after `idle` without any request",
    ),
    Field(name="max_replicas", kind="number", required=False, default=10.0, about="never more"),
    Field(
        name="startup",
        kind="duration",
        required=False,
        default="1m",
        about="how long a new replica takes until it answers: so far ahead the load is forecast",
    ),
    Field(
        name="tolerance",
        kind="number",
        required=False,
        default=0.1,
        about="the share by which the load must differ from what the replicas carry before their number changes",
    ),
    Field(
        name="up_window",
        kind="duration",
        required=False,
        default="0s",
        about="how long more replicas must be needed before they are asked for",
    ),
    Field(
        name="down_window",
        kind="duration",
        required=False,
        default="7m",
        about="how long fewer replicas must be enough before fewer are asked for",
    ),
    Field(
        name="hold",
        kind="duration",
        required=False,
        default="5m",
        about="how long the last answer stands while data are missing; after that there is none",
    ),
    Field(
        name="idle",
        kind="duration",
        required=False,
        default="30m",
        about="how long no request must have come before zero replicas are asked for, where min_replicas is 0",
    ),
    Field(
        name="drain",
        kind="duration",
        required=False,
        default="1m",
        about="the time in which requests that wait in line shall be served, beside those that come",
    ),
    Field(
        name="confidence",
        kind="number",
        required=False,
        default=0.6,
        about="the share of the recent past in which the forecast load would not have been exceeded",
    ),
    Field(
        name="goal_growth",
        kind="number",
        required=False,
        default=10.0,
        about="the multiple of its load now that the service shall be able to carry",
    ),
    Field(
        name="goal_requests_per_second",
        kind="number",
        required=False,
        default=1000.0,
        about="the rate that the service shall be able to carry",
    ),
)
SERVICE_FIELD = Field(name="service", about="the service, as its series name it")
POSITIVE = ("drain",)  # the durations that cannot be 0: what waits takes time to be served
WHOLE = ("min_replicas", "max_replicas")


@dataclass(frozen=True, slots=True)
class ServiceScaling:
    """The settings of one service. Durations are in seconds; the fields are those of the file."""

    min_replicas: int = 1
    max_replicas: int = 10
    startup: float = 60.0
    tolerance: float = 0.1
    up_window: float = 0.0
    down_window: float = 420.0
    hold: float = 300.0
    idle: float = 1800.0
    drain: float = 60.0
    confidence: float = 0.6
    goal_growth: float = 10.0
    goal_requests_per_second: float = 1000.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """The whole file: what holds for every service, and what holds for single ones."""

    defaults: ServiceScaling = ServiceScaling()
    services: Mapping[str, ServiceScaling] = field(default_factory=dict)

    def of(self, service: str) -> ServiceScaling:
        """Return the settings of a service."""
        return self.services.get(service, self.defaults)


def read_scaling(path: Path, shown_as: str | None = None) -> Scaling:
    """Read and check the file; `shown_as` is its name in problems, by default its path from the current directory.

    Raises:
        ConfigError: with every problem of the file, one sentence each: `file:line: …`.
    """
    return _check(read_located(path, [], shown_as))


def parse_scaling(text: str, shown_as: str) -> Scaling:
    """Do the same with the text of a file.

    Raises:
        ConfigError: with every problem of the text.
    """
    return _check(parse_located(text, shown_as, []))


def _check(root: Entry) -> Scaling:
    root.allow(("defaults", "services"), "the file")
    entry = root.get("defaults")
    if entry is not None and not isinstance(entry, Entry):
        root.report("defaults must be a mapping of names to values.", "defaults")
        entry = None
    defaults = ServiceScaling()
    if entry is not None:
        given = _given(entry, entry.read(SCALING_FIELDS, "defaults"), "defaults")
        defaults = replace(defaults, **given)
        _check_bounds(entry, defaults, "defaults")
    services = dict(_read_services(root, defaults))
    if root.problems:
        raise ConfigError(root.problems)
    return Scaling(defaults, services)


def _read_services(root: Entry, defaults: ServiceScaling) -> Iterator[tuple[str, ServiceScaling]]:
    entries = root.mappings("services")
    for name, count in Counter(str(entry["service"]) for entry in entries if entry.get("service")).items():
        if count > 1:
            root.report(f"the service {brief(name)} is set {count} times; every service has one entry.", "services")
    for entry in entries:
        what = entry.title("service", "service")
        values = entry.read((SERVICE_FIELD, *SCALING_FIELDS), what)
        own = replace(defaults, **_given(entry, values, what))
        _check_bounds(entry, own, what)
        if values["service"]:
            yield values["service"], own


def _given(entry: Entry, values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the fields that the entry itself gives, durations in seconds; report what is out of its range."""
    given = {}
    for one in SCALING_FIELDS:
        if entry.get(one.name) is not None:
            given[one.name] = _value(entry, one, values[one.name], what)
    return given


def _value(entry: Entry, one: Field, value: Any, what: str) -> Any:
    if one.kind == "duration":
        return _seconds(entry, one, value, what)
    rule = _broken_rule(one.name, value)
    if rule:
        entry.report(f"{what}: {one.name} has the value {brief(entry[one.name])}; it must be {rule}.", one.name)
        value = one.default
    return int(value) if one.name in WHOLE else value


def _seconds(entry: Entry, one: Field, text: str, what: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = float("inf")  # longer than Prometheus can count
    is_good = seconds <= LONGEST_SECONDS and (seconds > 0 or one.name not in POSITIVE)
    if not is_good:
        rule = "above 0 and at most 1d" if one.name in POSITIVE else "at most 1d"
        entry.report(f"{what}: {one.name} has the value {brief(text)}; it must be {rule}.", one.name)
    return seconds if is_good else parse_duration(one.default)


def _broken_rule(name: str, value: float) -> str:
    """Return the rule that a number breaks, or nothing."""
    if name in WHOLE:
        least = 0 if name == "min_replicas" else 1
        is_good = value == int(value) and least <= value <= MOST_REPLICAS
        return "" if is_good else f"a whole number from {least} to {MOST_REPLICAS}"
    if name == "tolerance":
        return "" if value < 1 else "at least 0 and below 1"
    if name == "confidence":
        is_good = LEAST_CONFIDENCE <= value <= MOST_CONFIDENCE
        return "" if is_good else f"from {LEAST_CONFIDENCE:g} to {MOST_CONFIDENCE:g}"
    return "" if value > 0 else "above 0"


def _check_bounds(entry: Entry, settings: ServiceScaling, what: str) -> None:
    least, most = settings.min_replicas, settings.max_replicas
    if least > most:
        key = "min_replicas" if "min_replicas" in entry else "max_replicas"
        entry.report(f"{what}: min_replicas {least} is above max_replicas {most}; it must not exceed it.", key)
