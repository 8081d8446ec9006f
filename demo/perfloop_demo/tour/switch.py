"""Sets the demo's faults, as a command: what `perfloop prove` runs to apply the fix and to take it back.

python -m perfloop_demo.tour.switch URL [FAULT=VALUE ...]; without a fault all are off.
"""

from __future__ import annotations

import sys

import httpx

from perfloop_base.errors import ExitCode

TIMEOUT_SECONDS = 30


def main(arguments: list[str]) -> int:
    """Switch every fault off, then those that are named on."""
    url, *settings = arguments
    faults = {name: float(value) for name, _, value in (setting.partition("=") for setting in settings)}
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as client:
        client.delete("/faults").raise_for_status()
        if faults:
            client.put("/faults", json=faults).raise_for_status()
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
