"""Every rule checked against the series that exist: recorded ones in `make check`, live ones of a running stack.

`series/*.txt` lists them: a name and its labels a line. stack.txt is recorded from a running stack; failures.txt has
the labels that its series have only sometimes. The others list what is not always there: what foreign exporters
publish, whose packs have no data until they are scraped, and what the analyzer publishes while something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.located import read_located, show_path
from perfloop_base.promql import Selector, find_selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RECORDED = "stack.txt"
# Labels that series of the stack have only sometimes.
SOMETIMES = "failures.txt"
# What Prometheus makes itself, and what rules record.
MADE_BY_PROMETHEUS = {"up", "scrape_duration_seconds", "ALERTS"}
TARGET_LABELS = frozenset({"job", "instance", "service", "host", "spelling"})
# Its rules record series under names that the stack has without them, and read foreign ones that few have.
SPELLINGS = "spellings.yml"
Known = dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a committed file."""

    name: str
    expr: str
    file: str
    line: int


def read_rules(directory: Path) -> list[Rule]:
    """Return every rule of rules/ and alerts/, with its place; `directory` is prometheus/.

    Raises:
        ConfigError: a file is not YAML.
    """
    problems: list[str] = []
    return [
        Rule(str(rule.get("alert") or rule.get("record")), str(rule.get("expr")), show_path(path), rule.line)
        for name in ("rules", "alerts")
        for path in sorted((directory / name).glob("*.yml"))
        for group in read_located(path, problems).mappings("groups")
        for rule in group.mappings("rules")
    ]


def read_series(file: Path) -> Known:
    """Return the names of a file of series, each with its labels."""
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row[0]: frozenset(row[1:]) for row in rows if row}


def read_known(directory: Path) -> tuple[Known, Known]:
    """Return what the stack publishes, and what foreign exporters do."""
    own: Known = {}
    foreign: Known = {}
    for file in sorted((directory / "series").glob("*.txt")):
        if file.name == SOMETIMES:
            continue
        (own if file.name == RECORDED else foreign).update(read_series(file))
    return own, foreign


def find_strays(rules: Iterable[Rule], known: Mapping[str, frozenset[str]]) -> list[str]:
    """Return a sentence for every selector of a rule that no known series can match."""
    spelled, checked = set[str](), list[Rule]()
    for rule in rules:
        if rule.file.endswith(f"rules/{SPELLINGS}"):
            spelled.add(rule.name)
        else:
            checked.append(rule)
    # A name that the stack has by itself is checked with the labels that it has by itself.
    recorded = {rule.name for rule in checked} | (spelled - known.keys()) | MADE_BY_PROMETHEUS
    return [
        f"{rule.file}:{rule.line}: {rule.name}: {problem}"
        for rule in checked
        for problem in _problems_of_rule(rule, recorded, known)
    ]


def _problems_of_rule(rule: Rule, recorded: set[str], known: Mapping[str, frozenset[str]]) -> list[str]:
    try:
        selectors = find_selectors(rule.expr)
    except ValueError as error:
        return [f"expr is not PromQL: {error}."]
    # A selector without a name may match any series.
    named = (selector for selector in selectors if selector.name and selector.name not in recorded)
    return [problem for selector in named for problem in _problems(selector, known)]


def _problems(selector: Selector, known: Mapping[str, frozenset[str]]) -> list[str]:
    if selector.name not in known:
        return [f"no series is named {selector.name}; the rule would select nothing."]
    missing = sorted(set(selector.labels) - known[selector.name] - TARGET_LABELS)
    return [f"{selector.name} has no label {label!r}; the rule would select nothing." for label in missing]


def check_recorded(directory: Path) -> list[str]:
    """Return what is wrong with the rules according to the recorded series."""
    own, foreign = read_known(directory)
    return find_strays(read_rules(directory), _with_further_labels(_both(own, foreign), directory))


def check_live(directory: Path, live: Known) -> list[str]:
    """Return what is wrong with the rules according to a running Prometheus.

    A series of a foreign exporter that is not scraped is not a mistake: its pack has no data yet.
    """
    _, foreign = read_known(directory)
    return find_strays(read_rules(directory), _with_further_labels(_both(live, foreign), directory))


def _both(own: Known, foreign: Known) -> Known:
    """Return the series of both: what both publish, such as cAdvisor's names, has the labels of either."""
    return {name: own.get(name, frozenset()) | foreign.get(name, frozenset()) for name in {**own, **foreign}}


def _with_further_labels(known: Known, directory: Path) -> Known:
    file = directory / "series" / SOMETIMES
    further = read_series(file) if file.is_file() else {}
    return {name: labels | further.get(name, frozenset()) for name, labels in known.items()}


def render_series(live: Known) -> str:
    """Return the text of a file of series."""
    rows = "".join(f"{' '.join([name, *sorted(labels)])}\n" for name, labels in sorted(live.items()))
    return (
        "# What the stack publishes: name and labels. Recorded from a running stack by\n"
        "# `python -m perfloop_rules --record http://127.0.0.1:9090`; the series that rules record are left out.\n"
        + rows
    )
