"""Every rule held against the series that exist: recorded ones in `make check`, live ones at start.

`series/*.txt` says what there is: a name and its labels a line. stack.txt is recorded from a running stack; the others
list what foreign exporters publish, and the packs for them sleep until such an exporter is scraped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_rules.located import Entry, entries, read_located
from perfloop_rules.selectors import Selector, find_selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RECORDED = "stack.txt"
# What Prometheus makes itself, and what rules record.
MADE_BY_PROMETHEUS = {"up", "scrape_duration_seconds", "ALERTS"}
TARGET_LABELS = frozenset({"job", "instance", "service", "host"})
Known = dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a committed file."""

    name: str
    expr: str
    file: str
    line: int


def read_rules(room: Path) -> list[Rule]:
    """Return every rule of rules/ and alerts/, with its place."""
    problems: list[str] = []
    found = []
    for folder in ("rules", "alerts"):
        for path in sorted((room / folder).glob("*.yml")):
            shown_as = f"prometheus/{folder}/{path.name}"
            for group in entries(read_located(path, shown_as, problems), "groups"):
                found += [_rule(entry, shown_as) for entry in entries(group, "rules")]
    return found


def _rule(entry: Entry, file: str) -> Rule:
    return Rule(str(entry.get("alert") or entry.get("record")), str(entry["expr"]), file, entry.line)


def read_series(file: Path) -> Known:
    """Return the names of a file of series, each with its labels."""
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name: frozenset(labels) for name, *labels in rows}


def read_known(room: Path) -> tuple[Known, Known]:
    """Return what the stack publishes, and what foreign exporters do."""
    own: Known = {}
    foreign: Known = {}
    for file in sorted((room / "series").glob("*.txt")):
        (own if file.name == RECORDED else foreign).update(read_series(file))
    return own, foreign


def find_strays(rules: Iterable[Rule], known: Mapping[str, frozenset[str]]) -> list[str]:
    """Return a sentence for every selector of a rule that no known series can match."""
    rules = list(rules)
    recorded = {rule.name for rule in rules}
    return [
        f"{rule.file}:{rule.line}: {rule.name}: {problem}"
        for rule in rules
        for selector in find_selectors(rule.expr)
        if selector.name not in recorded | MADE_BY_PROMETHEUS
        for problem in _problems(selector, known)
    ]


def _problems(selector: Selector, known: Mapping[str, frozenset[str]]) -> list[str]:
    if selector.name not in known:
        return [f"no series is named {selector.name}; the rule would select nothing."]
    missing = sorted(set(selector.labels) - known[selector.name] - TARGET_LABELS)
    return [f"{selector.name} has no label {label!r}; the rule would select nothing." for label in missing]


def check_recorded(room: Path) -> list[str]:
    """Return what is wrong with the rules according to the recorded series."""
    own, foreign = read_known(room)
    return find_strays(read_rules(room), own | foreign)


def check_live(room: Path, live: Known) -> list[str]:
    """Return what is wrong with the rules according to a running Prometheus.

    A series of a foreign exporter that is not scraped is no mistake: its pack sleeps.
    """
    _, foreign = read_known(room)
    asleep = {name: labels for name, labels in foreign.items() if name not in live}
    return find_strays(read_rules(room), live | asleep)


def render_series(live: Known) -> str:
    """Return the text of a file of series."""
    rows = "".join(f"{' '.join([name, *sorted(labels)])}\n" for name, labels in sorted(live.items()))
    return (
        "# What the stack publishes: name and labels. Recorded from a running stack by\n"
        "# `python -m perfloop_rules --record http://127.0.0.1:9090`; the series that rules record are left out.\n"
        + rows
    )
