"""`python -m perfloop_demo.service`."""

from __future__ import annotations

import sys

from perfloop_base.arguments import hide_arguments

hide_arguments()  # before the imports below, which take a while

from perfloop_demo.service.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
