"""`python -m perfloop_boards`."""

from __future__ import annotations

import sys

from perfloop_boards.build import main

if __name__ == "__main__":
    sys.exit(main())
