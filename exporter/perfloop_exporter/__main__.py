"""`python -m perfloop_exporter`."""

from __future__ import annotations

import sys

from perfloop_base.arguments import hide_arguments

hide_arguments()  # before the imports below, which take a while

from perfloop_exporter.cli import main  # noqa: E402

sys.exit(main())
