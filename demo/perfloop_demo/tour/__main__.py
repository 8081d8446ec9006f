"""`python -m perfloop_demo.tour`."""

from __future__ import annotations

import sys

from perfloop_demo.tour.cli import main

if __name__ == "__main__":
    sys.exit(main())
