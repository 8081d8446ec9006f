"""The `perfloop` command: the stack's own commands, and a door to each program."""

from __future__ import annotations

import sys
from importlib import import_module

_PROGRAMS = ("exporter", "analyzer", "loadgen")


def main(argv: list[str] | None = None) -> int:
    """Run `perfloop …` and return its exit code; `perfloop exporter …` is handed on to that program whole."""
    arguments = sys.argv[1:] if argv is None else argv
    program = arguments[0] if arguments and arguments[0] in _PROGRAMS else None
    try:
        module = import_module(f"perfloop_{program}.cli" if program else "perfloop.stack.cli")
    except ModuleNotFoundError as error:
        extra = program or "stack"
        sys.stderr.write(f"perfloop: {error.name} is not installed: `pip install 'perfloop[{extra}]'` brings it\n")
        return 2
    return int(module.main(arguments[1:] if program else arguments))


if __name__ == "__main__":
    sys.exit(main())
