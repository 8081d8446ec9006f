"""Generated files as text, and how to recognise one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "# Written by `perfloop generate` from {source}: change that file, not this one.\n"
# The second is what earlier versions wrote.
MARKS = ("Written by `perfloop generate` from", "Written by `python -m perfloop_rules` from")
_HEAD_CHARACTERS = 400  # the page of the runbook has its mark below its title


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as hand-written rule files do, and never writes anchors."""

    # PyYAML's own signatures: the flags by position, the arguments that are not looked at.
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Report that nothing is to be written as an alias."""
        return True


def render_yaml(source: str, document: dict[str, Any]) -> str:
    """Return a generated YAML file with its header."""
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True)
    return HEADER.format(source=source) + body


def is_generated(path: Path) -> bool:
    """Return whether a file was written by the generator; an empty one is a write that was cut short."""
    head = path.read_text(encoding="utf-8", errors="replace")[:_HEAD_CHARACTERS]
    return not head.strip() or any(mark in head for mark in MARKS)
