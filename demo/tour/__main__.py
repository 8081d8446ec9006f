"""`python -m demo.tour`."""

from __future__ import annotations

import sys

from demo.errors import DemoError, ExitCode
from demo.tour.stack import Stack
from demo.tour.steps import Narrator, walk


def main() -> int:
    """Walk through the loop and return the exit code."""
    try:
        narrator = Narrator()
        narrator.say("start", "looking for the stack, and bringing it up where there is none")
        with Stack.find() as stack:
            walk(stack, narrator)
    except DemoError as error:
        sys.stderr.write(f"demo.tour: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("demo.tour: stopped half way; the demo is healed again.\n")
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
