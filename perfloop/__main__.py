"""`python -m perfloop`, and the `perfloop` command."""

from __future__ import annotations

import sys

from perfloop.cli import main

if __name__ == "__main__":
    sys.exit(main())
