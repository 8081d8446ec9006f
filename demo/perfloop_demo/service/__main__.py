"""`python -m perfloop_demo.service`."""

import sys

from perfloop_demo.service.cli import main

sys.exit(main())
