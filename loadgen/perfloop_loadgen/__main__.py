"""`python -m perfloop_loadgen`."""

from __future__ import annotations

import sys

from perfloop_loadgen.cli import main

sys.exit(main())
