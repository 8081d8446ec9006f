"""The noise certificates of this machine: one file for each test that was measured."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from perfloop_base.state import set_aside
from perfloop_loadgen.app.repeat import runs_of
from perfloop_loadgen.compare.noise import Certificate, certify
from perfloop_loadgen.compare.obstacles import faults
from perfloop_loadgen.errors import UnusableRunError
from perfloop_loadgen.store.location import directory, make_directory
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

_ADAPTER: TypeAdapter[Certificate] = TypeAdapter(Certificate)
_NAME = "noise"


async def measure_noise(config: LoadTestConfig, runs: int) -> Certificate:
    """Run a test so many times against the same service, and return how much the runs differ.

    An invalid run is made again, up to as many times as runs are asked for.

    Raises:
        ConfigError: something in the configuration cannot be used.
        UnusableRunError: too few runs were valid, or they do not compare with each other.
    """
    documents: list[Document] = []
    reason = ""
    async with aclosing(runs_of(config, 2 * runs)) as measured:
        async for document in measured:
            summary = document.summary
            if summary.verdict is Verdict.INVALID:
                reason = f"the last one: {(summary.reasons or ['no reason given'])[0]}"
            else:
                documents.append(document)
            p95, verdict = summary.p95_response_time_ms, summary.verdict
            log.info("%s: %d of %d runs: %s, p95 %.4g ms", config.name, len(documents), runs, verdict, p95)
            if len(documents) == runs:
                break
    if len(documents) < runs:
        raise UnusableRunError(
            f"the noise cannot be measured: {len(documents)} of {2 * runs} runs of {config.name} were valid ({reason})"
        )
    for problem in faults(documents):
        raise UnusableRunError(f"the noise cannot be measured: {problem}")
    return certify(documents)


def write_certificate(certificate: Certificate) -> Path:
    """Keep a certificate in place of an earlier one of the same test; a full disk or a kill leaves that one."""
    kept = make_directory() / _NAME
    kept.mkdir(mode=0o700, exist_ok=True)
    path = kept / _name_of(certificate)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(_ADAPTER.dump_json(certificate, indent=2))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def find_certificate(run: Document) -> Certificate | None:
    """Return the certificate of a run's test on its machine; None where its noise was never measured."""
    found = [one for path in sorted((directory() / _NAME).glob("*.json")) if (one := _read(path)) is not None]
    return next((one for one in found if one.is_about(run)), None)


def _read(path: Path) -> Certificate | None:
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError:
        return None
    except (ValidationError, ValueError, RecursionError):
        with suppress(OSError):
            moved = set_aside(path, datetime.now(UTC))
            log.warning("%s is corrupt and was moved aside to %s: measure the noise once more", path, moved.name)
        return None


def _name_of(certificate: Certificate) -> str:
    """Return a name that is the same for everything that compares with each other."""
    subject = [certificate.profile, certificate.workers, certificate.host.name, certificate.config]
    return f"{hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()[:16]}.json"
