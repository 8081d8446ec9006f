"""What the exporter was asked to do, as one value that never changes while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from perfloop_base.shipped import shipped_root

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_LISTEN = "127.0.0.1:19100"
DEFAULT_DEADLINE_SECONDS = 2.0
DEFAULT_THRESHOLDS = str(shipped_root() / "prometheus" / "thresholds.yml")

LogFormat = Literal["logfmt", "json"]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the machine's own files are mounted."""

    procfs: str = "/proc"
    sysfs: str = "/sys"
    rootfs: str = "/"
    udev: str = "/run/udev/data"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How the exporter is reached."""

    listen: tuple[str, ...] = (DEFAULT_LISTEN,)
    telemetry_path: str = "/metrics"
    config_file: str = ""
    max_requests: int = 40
    exporter_metrics: bool = True


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Which collectors run, how long each may take, and the options given for each."""

    enabled: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str | bool]] = field(default_factory=dict)
    deadline_seconds: float = DEFAULT_DEADLINE_SECONDS
    deadlines: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the command line decides."""

    web: WebSettings = WebSettings()
    collectors: CollectorSettings = CollectorSettings()
    paths: Paths = Paths()
    log_level: str = "info"
    log_format: LogFormat = "logfmt"
