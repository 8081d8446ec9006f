"""`python -m perfloop_demo.service`."""

from __future__ import annotations

import sys

from perfloop_demo.service.cli import main

if __name__ == "__main__":
    sys.exit(main())
