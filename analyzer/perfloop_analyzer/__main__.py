"""`python -m perfloop_analyzer`."""

from __future__ import annotations

import sys

from perfloop_analyzer.cli import main

if __name__ == "__main__":
    sys.exit(main())
