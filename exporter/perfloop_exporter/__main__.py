"""`python -m perfloop_exporter`."""

from __future__ import annotations

import sys

from perfloop_exporter.cli import main

sys.exit(main())
