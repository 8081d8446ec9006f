"""Write the contract again from running programs; its conditions (`when`) are kept.

`python -m tests.wire.record exporter=http://127.0.0.1:19100 demo=http://127.0.0.1:8000 …` prints the YAML: read the
difference before it is committed, for dashboards, rules and users rely on every line that changes.
"""

from __future__ import annotations

import sys
from itertools import takewhile
from typing import Any

import httpx
import yaml

from tests.wire.contract import CONTRACT_FILE, Metric, read_contract
from tests.wire.declared import collector_families, library_families
from tests.wire.exposition import Exported, parse_families

Entry = dict[str, Any]
FIELDS = ("name", "type", "help", "labels", "when")

# What a program may export beside what it exports now, and the condition that a new line of it gets.
DECLARED = {
    "exporter": (collector_families(), "the machine or the flags bring it"),
    "demo": (library_families(), "the service uses that part of the library"),
}


def main(arguments: list[str]) -> int:
    """Print the contract with what these programs export now."""
    document = yaml.safe_load(CONTRACT_FILE.read_text(encoding="utf-8"))
    known = read_contract()
    for argument in arguments:
        program, _, url = argument.partition("=")
        families = parse_families(httpx.get(f"{url}/metrics", timeout=30).text)
        entries = _merge(known[program], families, document["programs"][program])
        document["programs"][program] = _add_declared(known[program], entries, *DECLARED.get(program, ({}, "")))
    sys.stdout.write(_render(document))
    return 0


def _render(document: dict[str, Any]) -> str:
    lines = list(takewhile(lambda line: line.startswith("#"), CONTRACT_FILE.read_text(encoding="utf-8").splitlines()))
    lines += ["", "common:", *map(_line, document["common"]), "", "programs:"]
    for program, entries in document["programs"].items():
        lines += [f"  {program}:", *(f"  {_line(entry)}" for entry in entries), ""]
    text = CONTRACT_FILE.read_text(encoding="utf-8")
    return "\n".join(lines) + "\n" + text[text.index("# Names that the design fixes") :]


def _line(entry: Entry) -> str:
    return "  - " + yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=10_000).strip()


def _add_declared(known: list[Metric], entries: list[Entry], declared: dict[str, Exported], when: str) -> list[Entry]:
    live = {entry["name"] for entry in entries}
    absent = {name: family for name, family in declared.items() if name not in live}
    fresh = [{"name": name, "when": when} for name in absent if not any(one.covers(name) for one in known)]
    return _merge(known, absent, [*entries, *fresh])


def _merge(known: list[Metric], families: dict[str, Exported], kept: list[Entry]) -> list[Entry]:
    entries = {entry["name"]: entry for entry in kept}
    for name, family in families.items():
        if name not in entries and any(metric.covers(name) for metric in known):
            continue  # a pattern's, or common to all
        entry = entries.setdefault(name, {"name": name})
        entry |= {"type": family.type, "help": family.help}
        lines = (metric for metric in known if metric.name == name)
        if family.labels and not any(line.allows(family.labels) for line in lines):
            entry["labels"] = sorted(family.labels)
    return [{key: entries[name][key] for key in FIELDS if key in entries[name]} for name in sorted(entries)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
