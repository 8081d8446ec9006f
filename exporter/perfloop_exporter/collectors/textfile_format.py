"""The text format of a `.prom` file: families of validated lines, no timestamps.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from perfloop_exporter.errors import CollectorError

KINDS = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
# Suffixes of samples whose family has the name without them.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
# Bytes of a line; a usual sample has some hundred.
LINE_LIMIT = 1 << 20
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
# Every repetition is possessive (*+): what has matched is not tried again in pieces, so that no line takes longer than
# its length allows.
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*+\s*+=\s*+"(?:[^"\\\n]|\\[\\"n])*+"'
SAMPLE = re.compile(
    rf"(?P<name>{NAME})\s*+(?P<labels>\{{\s*+(?:{LABEL}\s*+(?:,\s*+{LABEL}\s*+)*+,?\s*+)?\}})?\s*+"
    rf"(?P<value>[^\s{{}}]++)(?P<rest>.*)"
)
LABEL_NAME = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)\s*+=\s*+("(?:[^"\\\n]|\\[\\"n])*+")')
VALUE = re.compile(r"[+-]?([0-9]++\.?[0-9]*+([eE][+-]?[0-9]++)?|\.[0-9]++([eE][+-]?[0-9]++)?|[iI]nf|[nN]a[nN])")
COMMENT = re.compile(rf"#\s*+(?P<what>HELP|TYPE)\s++(?P<name>{NAME})(?:[ \t]++(?P<text>.*))?")


@dataclass(slots=True)
class TextFamily:
    """A family of one file; its lines are ready to be exposed."""

    name: str
    kind: str = ""
    help: str | None = None
    lines: list[str] = field(default_factory=list)


class Parser:
    """Parses one file, line by line, up to the first line that is invalid."""

    def __init__(self) -> None:
        self.families: dict[str, TextFamily] = {}
        self._seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()

    def read(self, text: str) -> dict[str, TextFamily]:
        """Parse a file.

        Returns:
            The families that have samples, by name.

        Raises:
            CollectorError: A line is invalid; the message begins with its number.
        """
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.strip()
            if not line:
                continue
            try:
                _check_line(line)
                if line.startswith("#"):
                    self._comment(line)
                else:
                    self._sample(line)
            except CollectorError as error:
                raise CollectorError(f"line {number}: {error}") from error
        return {name: family for name, family in self.families.items() if family.lines}

    def _comment(self, line: str) -> None:
        match = COMMENT.fullmatch(line)
        if match is None:
            if line[1:].split(maxsplit=1)[:1] in (["HELP"], ["TYPE"]):
                raise CollectorError(f"'{line[:60]}' is not a HELP or TYPE line")
            return
        family = self.families.setdefault(match["name"], TextFamily(match["name"]))
        text = match["text"] or ""
        if match["what"] == "HELP":
            if family.help is not None:
                raise CollectorError(f"a second HELP line for {family.name}")
            family.help = text
            return
        if family.kind or family.lines:
            raise CollectorError(f"a second TYPE line for {family.name}, or one after its samples")
        if text.strip() not in KINDS:
            raise CollectorError(f"'{text.strip()[:40]}' is not the type of a metric")
        family.kind = text.strip()

    def _sample(self, line: str) -> None:
        match = SAMPLE.fullmatch(line)
        if match is None or not VALUE.fullmatch(match["value"]):
            raise CollectorError(f"'{line[:60]}' is not a sample")
        if match["rest"].strip():
            raise CollectorError(f"'{line[:60]}' has a timestamp, or more than a value")
        labels = LABEL_NAME.findall(match["labels"] or "")
        names = [name for name, _ in labels]
        if len(set(names)) != len(names):
            raise CollectorError(f"'{line[:60]}' has a duplicate label")
        key = (match["name"], frozenset(labels))
        if key in self._seen:
            raise CollectorError(f"'{line[:60]}' is a duplicate")
        self._seen.add(key)
        pairs = ",".join(f"{name}={value}" for name, value in labels)
        braces = f"{{{pairs}}}" if pairs else ""
        self._owner(match["name"]).lines.append(f"{match['name']}{braces} {match['value']}\n")

    def _owner(self, name: str) -> TextFamily:
        for kind, suffixes in SUFFIXES.items():
            for suffix in suffixes:
                base = self.families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
                if base is not None and base.kind == kind:
                    return base
        return self.families.setdefault(name, TextFamily(name))


def _check_line(line: str) -> None:
    if len(line) > LINE_LIMIT:
        raise CollectorError(f"'{line[:60]}' is longer than {LINE_LIMIT} characters")
    if "\0" in line:  # what a crash leaves of a file that was not yet on the disk
        raise CollectorError("it has a NUL")
