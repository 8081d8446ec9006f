"""`python -m perfloop_inbox`."""

import sys

from perfloop_inbox.cli import main

sys.exit(main())
