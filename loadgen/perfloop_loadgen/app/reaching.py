"""Whether the service under test can be reached from a machine, before a load that this machine is a part of begins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.routing import build_route
from perfloop_loadgen.engines.dialing import Dialer
from perfloop_loadgen.engines.failures import outcome_of
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.outcomes import MEANINGS
from perfloop_loadgen.scenario.request import Target

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig

_LONGEST_SECONDS = 10.0


async def check_service(config: LoadTestConfig) -> None:
    """Connect to the service once, by the way that the load will take, and close the connection.

    Raises:
        TargetError: no connection can be made.
    """
    target = Target.from_url(config.base_url)
    seconds = min(config.timeout_seconds, _LONGEST_SECONDS)
    dialer = Dialer(build_route(config, target), seconds)
    try:
        await dialer.open(lambda _: [])
        async with asyncio.timeout(seconds):
            line, _ = await dialer.connect()
        line.close()
    except OSError as error:
        why = MEANINGS[outcome_of(error)]
        raise TargetError(f"the service at {redact_url(config.base_url)} is not reached: {why}") from error
    finally:
        await dialer.close()
