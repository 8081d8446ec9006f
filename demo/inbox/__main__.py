"""`python -m demo.inbox`."""

import sys

from demo.inbox.cli import main

sys.exit(main())
