"""Follows the analyzer's number: one look after the other, one change at a time, one command for each service."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from typing import TYPE_CHECKING

from perfloop.scale.errors import BusyError, NoAnswerError, ScaleError
from perfloop.scale.reading import read_desired

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop.scale.changing import Change
    from perfloop_loadgen.prometheus_api import PrometheusApi

log = logging.getLogger("scale")


class Follower:
    """Knows the number that was last brought about."""

    def __init__(self, service: str, prometheus: PrometheusApi, change: Change) -> None:
        self._service, self._prometheus, self._change = service, prometheus, change
        self._present: int | None = None

    async def look(self) -> int:
        """Change the number of replicas if the analyzer's is another than the one brought about last; return it.

        Raises:
            NoAnswerError: There is no number; nothing is changed.
            ScaleError: The change failed; the next look tries again.
        """
        desired = await read_desired(self._prometheus, self._service, time.time())
        if desired != self._present:
            await self._change(self._service, desired)
            log.info("scaled", extra={"service": self._service, "replicas": desired, "before": self._present})
            self._present = desired
        return desired

    async def follow(self, interval_seconds: float) -> None:
        """Look for ever. What fails is logged when it begins and when it ends, and tried again at the next look."""
        trouble = ""
        while True:
            try:
                await self.look()
                if trouble:
                    log.info("following again", extra={"service": self._service})
                trouble = ""
            except (NoAnswerError, ScaleError) as error:
                if str(error) != trouble:
                    log.warning("%s", error)
                trouble = str(error)
            await asyncio.sleep(interval_seconds)


@contextlib.contextmanager
def alone(home: Path, service: str) -> Iterator[None]:
    """Hold the lock of a service: two commands that scale it would take each other's changes back.

    Raises:
        BusyError: Another command on this machine holds it.
    """
    (home / "run").mkdir(parents=True, exist_ok=True)
    lock = os.open(home / "run" / f"scale-{service}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise BusyError(f"another `perfloop scale` of {service} is running in {home}: end it first") from error
    try:
        yield
    finally:
        os.close(lock)
