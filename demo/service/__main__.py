"""`python -m demo.service`."""

import sys

from demo.service.cli import main

sys.exit(main())
