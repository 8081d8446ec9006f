"""The memory of runs: every run with its whole document, baselines, and what other programs read of them.

`perfloop_loadgen.store.runs.RunStore` is the way in. SQLAlchemy is imported there and not before: the start of a run
does not wait for it.
"""

from __future__ import annotations
