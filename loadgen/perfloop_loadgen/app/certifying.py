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

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.document import Document

log = logging.getLogger(__name__)

_ADAPTER: TypeAdapter[Certificate] = TypeAdapter(Certificate)
_FOLDER = "noise"


async def measure_noise(config: LoadTestConfig, runs: int) -> Certificate:
    """Run a test so many times against the same service, and return how much the runs differ.

    Raises:
        ConfigError: something in the configuration cannot be used.
        UnusableRunError: a run was invalid, or they do not compare with each other.
    """
    documents: list[Document] = []
    async with aclosing(runs_of(config, runs)) as measured:
        async for document in measured:
            documents.append(document)
            p95 = document.summary.p95_response_time_ms
            log.info(
                "%s: run %d of %d: %s, p95 %.4g ms", config.name, len(documents), runs, document.summary.verdict, p95
            )
            for reason in faults(documents):
                raise UnusableRunError(f"the noise cannot be measured: {reason}")
    return certify(documents)


def write_certificate(certificate: Certificate) -> Path:
    """Keep a certificate in place of an earlier one of the same test; a full disk or a kill leaves that one."""
    folder = make_directory() / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / _name_of(certificate)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(_ADAPTER.dump_json(certificate, indent=2))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def find_certificate(run: Document) -> Certificate | None:
    """Return the certificate of a run's test on its machine; None where its noise was never measured."""
    found = [one for path in sorted((directory() / _FOLDER).glob("*.json")) if (one := _read(path)) is not None]
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
