"""`python -m perfloop_inbox`."""

from __future__ import annotations

import sys

from perfloop_base.arguments import hide_arguments

hide_arguments()  # before the imports below, which take a while

from perfloop_inbox.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
