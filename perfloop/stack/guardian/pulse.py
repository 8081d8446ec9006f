"""Who guards the guardian: a process that ends it when it stops working, so that supervisord starts it again.

supervisord sees a listener that ends, not one that hangs. The watcher is forked before anything else is done, holds one
end of a pipe, and ends with the guardian: then the pipe is closed.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

SILENCE_SECONDS = 40.0


class Pulse:
    """The guardian's end of the pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def beat(self) -> None:
        """Say that the guardian works; without a watcher nothing happens."""
        with suppress(OSError):
            os.write(self._fd, b".")

    def stop(self) -> None:
        """End the watcher: what follows may take as long as it needs."""
        with suppress(OSError):
            os.close(self._fd)


def _watch(fd: int, guardian: int, seconds: float) -> None:
    while True:
        readable, _, _ = select.select([fd], [], [], seconds)
        if not readable:
            os.kill(guardian, signal.SIGKILL)
            return
        if not os.read(fd, 4096):
            return


def start_pulse(seconds: float = SILENCE_SECONDS) -> Pulse:
    """Fork the watcher and return the pulse that it listens to.

    Args:
        seconds: how long the guardian may be silent.
    """
    guardian = os.getpid()
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.close(writing)
            os.close(0)  # supervisord's pipes are the guardian's alone: the watcher must not keep them open
            os.close(1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _watch(reading, guardian, seconds)
        finally:
            os._exit(0)
    os.close(reading)
    os.set_blocking(writing, False)
    return Pulse(writing)
