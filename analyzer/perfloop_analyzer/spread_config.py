"""Where the work on many series is done: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from perfloop_base.clusters import LOCAL, find_problems, parse_cluster, read_certificates
from perfloop_base.flags import flag

MOST_THREADS = 4  # by itself: beyond them it is memory, not processors, that is waited for


@dataclass(frozen=True, slots=True)
class SpreadConfig:
    """Who looks through the series."""

    threads: int | None = flag(
        "--detect.threads",
        None,
        auto=True,
        parse=int,
        minimum=1,
        metavar="NUMBER",
        help=f"threads that look through the series; auto is one for each processor, {MOST_THREADS} at most",
    )
    dask: str = flag(
        "--dask",
        "",
        parse=parse_cluster,
        alone=LOCAL,
        metavar="tcp://HOST:PORT",
        help="look through the series on the workers of a Dask cluster; alone, or local: in processes of this machine",
    )
    ca_file: Path | None = flag("--dask.tls-ca-file", None, parse=Path, help="authority of a scheduler at tls://")
    cert_file: Path | None = flag("--dask.tls-cert-file", None, parse=Path, help="certificate to show a scheduler")
    key_file: Path | None = flag("--dask.tls-key-file", None, parse=Path, help="key of that certificate")

    def thread_count(self) -> int:
        """Return how many threads look through the series."""
        return self.threads or min(MOST_THREADS, len(os.sched_getaffinity(0)))

    def certificates(self) -> dict[str, str]:
        """Return what Dask's Security takes; empty for a scheduler at tcp://."""
        return read_certificates(self.ca_file, self.cert_file, self.key_file)

    def problems(self) -> list[str]:
        """Return every rule that the flags break together."""
        return find_problems(self.dask, self.ca_file, self.cert_file, self.key_file)
