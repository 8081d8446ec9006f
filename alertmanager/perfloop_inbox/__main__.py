"""`python -m perfloop_inbox`."""

from __future__ import annotations

import sys

from perfloop_inbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
