"""Generated files as text: the same input gives the same bytes."""

from __future__ import annotations

from typing import Any

import yaml

HEADER = "# Written by `python -m perfloop_rules` from {source}: change that file, not this one.\n"


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as hand-written rule files do, and never writes anchors."""

    # PyYAML's own signatures: the flags by position, the arguments that are not looked at.
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Say that nothing is to be written as an alias."""
        return True


def render_yaml(source: str, document: dict[str, Any]) -> str:
    """Return a generated YAML file with its header."""
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)
    return HEADER.format(source=source) + body
