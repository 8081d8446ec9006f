"""`python -m perfloop_demo.tour`."""

from __future__ import annotations

import sys

from perfloop_base.errors import ExitCode, PerfloopError
from perfloop_demo.tour.stack import Stack
from perfloop_demo.tour.steps import Narrator, walk


def main() -> int:
    """Walk through the loop and return the exit code."""
    try:
        narrator = Narrator()
        narrator.say("start", "looking for the stack, and bringing it up where there is none")
        with Stack.find() as stack:
            walk(stack, narrator)
    except PerfloopError as error:
        sys.stderr.write(f"perfloop_demo.tour: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("perfloop_demo.tour: stopped half way; the demo is healed again.\n")
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
