"""The work on many series, spread over the workers of a Dask cluster: one that runs somewhere, or this machine's own.

Reading, learning, the control of false findings, incidents and recommendations stay in the one analyzer that publishes;
only blocks of numbers travel. A cluster that fails costs no cycle: its work is done here, and it is asked again later.
"""

from __future__ import annotations

import importlib
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from perfloop_analyzer.errors import ConfigError
from perfloop_base.clusters import LOCAL, LOCAL_PORTS, NO_PAGES, PACKAGE, find_workers, require_dask
from perfloop_base.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_analyzer.detectors.spread import Spread
    from perfloop_analyzer.spread_config import SpreadConfig

T = TypeVar("T")

CONNECT_SECONDS = 20.0
WORK_SECONDS = 60.0  # for which the workers are waited for
RETRY_SECONDS = 60.0  # for which a cluster that failed is left alone
NUMBERS = ("numpy", "scipy")  # the same results to the last bit need the same releases

log = logging.getLogger("analyzer.dask")


class DaskSpread:
    """Does blocks of work on the workers of a cluster, and here while it does not answer.

    Attributes:
        problem: Why the work is done here; empty while the cluster does it.
    """

    def __init__(self, config: SpreadConfig, here: Spread) -> None:
        """Connect to a scheduler, or start workers of this machine.

        Raises:
            ConfigError: Dask is not installed, nobody answers there, or the workers are of another version.
        """
        require_dask()
        self.problem = ""
        self._address = config.dask
        self._here = here
        self._not_before = 0.0
        self._client, self._own = _connect(config)
        try:
            find_workers(config.dask, self._client.get_versions(packages=[PACKAGE, *NUMBERS]), "analyzer", *NUMBERS)
        except BaseException:
            self.close()
            raise

    def map(self, work: Callable[..., T], blocks: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return what `work` returns for each block's arguments, in the order of the blocks."""
        if len(blocks) < 2 or time.monotonic() < self._not_before:  # noqa: PLR2004 - nothing to divide
            return self._here.map(work, blocks)
        try:
            found = self._ask(work, blocks)
        except Exception as error:  # noqa: BLE001 - whatever became of a cluster, the analysis goes on
            self._fail(error)
            return self._here.map(work, blocks)
        if self.problem:
            log.info("the Dask cluster %s works again", self._address)
        self.problem = ""
        return found

    def _ask(self, work: Callable[..., T], blocks: Sequence[tuple[Any, ...]]) -> list[T]:
        # As many tasks as keep every worker busy twice: each has a cost of its own.
        workers = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        size = max(1, len(blocks) // (2 * workers))
        lots = [blocks[start : start + size] for start in range(0, len(blocks), size)]
        futures = [self._client.submit(_do, work, lot, pure=False, retries=1) for lot in lots]
        with self._client.as_current():
            _dask().wait(futures, timeout=WORK_SECONDS)
        return [one for lot in self._client.gather(futures) for one in lot]

    def close(self) -> None:
        """Leave the cluster, and end this machine's own."""
        for one in (self._client, self._own):
            if one is not None:
                one.close(timeout=5)

    def _fail(self, error: Exception) -> None:
        self._not_before = time.monotonic() + RETRY_SECONDS
        self.problem = f"the Dask cluster {self._address} failed, this process works alone: {_why(error)}"
        log.warning("%s", self.problem)


def _do(work: Callable[..., T], blocks: Sequence[tuple[Any, ...]]) -> list[T]:
    return [work(*block) for block in blocks]


def _dask() -> Any:
    """Return Dask's distributed, which takes a second to import and has few types."""
    return importlib.import_module("distributed")


def _connect(config: SpreadConfig) -> tuple[Any, Any]:
    """Return a client, and the cluster of this machine's own where there is one.

    Raises:
        ConfigError: Nobody answers there.
    """
    distributed, address, certificates = _dask(), config.dask, config.certificates()
    security = distributed.Security(require_encryption=True, **certificates) if certificates else None
    # What it has to say is said here, in a sentence, once.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        if address != LOCAL:
            return distributed.Client(address, timeout=CONNECT_SECONDS, security=security, set_as_default=False), None
        with importlib.import_module("dask").config.set(NO_PAGES):
            own = distributed.LocalCluster(threads_per_worker=1, host="127.0.0.1", **LOCAL_PORTS)
        return distributed.Client(own, timeout=CONNECT_SECONDS, set_as_default=False), own
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--dask {address}: {_why(error)}") from error


def _why(error: BaseException) -> str:
    lines = str(error).splitlines()
    return redact(lines[0]) if lines else type(error).__name__
