"""`python -m perfloop_rules`."""

from __future__ import annotations

import sys

from perfloop_rules.cli import main

if __name__ == "__main__":
    sys.exit(main())
