"""`python -m perfloop_loadgen`."""

from __future__ import annotations

import sys

from perfloop_base.arguments import hide_arguments

hide_arguments()  # before the imports below, which take a while

from perfloop_loadgen.cli import main  # noqa: E402

sys.exit(main())
