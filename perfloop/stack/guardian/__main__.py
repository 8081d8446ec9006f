"""`python -m perfloop.stack.guardian HOME`: supervisord runs it."""

from __future__ import annotations

import sys

from perfloop.stack.guardian.app import main

if __name__ == "__main__":
    sys.exit(main())
