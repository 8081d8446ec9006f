"""`python -m perfloop_analyzer`."""

import sys

from perfloop_analyzer.cli import main

if __name__ == "__main__":
    sys.exit(main())
