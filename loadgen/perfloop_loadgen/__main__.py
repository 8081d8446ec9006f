"""`python -m perfloop_loadgen`."""

import sys

from perfloop_loadgen.cli import main

sys.exit(main())
