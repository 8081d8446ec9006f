"""The exporter's settings: each flag is declared here once, with its default, its rule and its help.

The flags of single collectors are declared beside each collector (collectors/spec.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop_base.addresses import Address, parse_address
from perfloop_base.durations import parse_positive_duration
from perfloop_base.flags import flag, section
from perfloop_base.shipped import shipped_root
from perfloop_base.web.flags import allowed_hosts_flag, config_file_flag
from perfloop_exporter.otlp import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.otlp import Destination

DEFAULT_LISTEN = Address("127.0.0.1", 19100)
DEFAULT_DEADLINE_SECONDS = 2.0
DEFAULT_THRESHOLDS = str(shipped_root() / "prometheus" / "thresholds.yml")


def _parse_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} does not begin with /")
    return text


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where and how the exporter is served."""

    listen: tuple[Address, ...] = flag(
        "--web.listen-address",
        (DEFAULT_LISTEN,),
        parse=parse_address,
        repeat=True,
        metavar="HOST:PORT",
        help="address to listen on; may be repeated",
    )
    systemd_socket: bool = flag(
        "--web.systemd-socket",
        False,  # noqa: FBT003  # the default
        help="listen on the sockets that systemd passes instead of --web.listen-address",
    )
    telemetry_path: str = flag(
        "--web.telemetry-path", "/metrics", parse=_parse_path, metavar="PATH", help="path of the metrics"
    )
    config_file: str = config_file_flag()
    allowed_hosts: tuple[str, ...] = allowed_hosts_flag()
    max_requests: int = flag(
        "--web.max-requests", 40, minimum=0, help="maximum number of parallel scrapes, 0 for no limit"
    )
    disable_exporter_metrics: bool = flag("--web.disable-exporter-metrics", False, help="leave out process_*")  # noqa: FBT003  # the default


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Where the metrics are sent as well."""

    endpoint: str = flag(
        "--otlp.endpoint",
        "",
        parse=parse_endpoint,
        metavar="URL",
        help="OTLP endpoint to which the metrics are sent as well; what else there is to say is in OpenTelemetry's own "
        "variables, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_METRIC_EXPORT_INTERVAL",
    )


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the machine's own files are mounted: elsewhere in a container that watches its host."""

    procfs: str = flag("--path.procfs", "/proc", metavar="DIR", help="mount point of procfs")
    sysfs: str = flag("--path.sysfs", "/sys", metavar="DIR", help="mount point of sysfs")
    rootfs: str = flag("--path.rootfs", "/", metavar="DIR", help="mount point of the root filesystem")
    udev: str = flag("--path.udev.data", "/run/udev/data", metavar="DIR", help="directory of udev's database")


@dataclass(frozen=True, slots=True)
class CommonCollectorSettings:
    """What holds for every collector unless its own flags say otherwise."""

    disable_defaults: bool = flag(
        "--collector.disable-defaults",
        False,  # noqa: FBT003  # the default
        help="enable only the collectors that are named by a flag",
    )
    deadline_seconds: float = flag(
        "--collector.deadline",
        DEFAULT_DEADLINE_SECONDS,
        parse=parse_positive_duration,
        help="how long a scrape waits for one collector",
    )


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """The enabled collectors, the deadline of each (in seconds), and the options that were given for each."""

    enabled: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str | bool]] = field(default_factory=dict)
    deadline_seconds: float = DEFAULT_DEADLINE_SECONDS
    deadlines: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that are not generated from the list of collectors."""

    web: WebSettings = section(WebSettings, "web")
    paths: Paths = section(Paths, "paths")
    collectors: CommonCollectorSettings = section(CommonCollectorSettings, "collectors")
    otlp: OtlpSettings = section(OtlpSettings, "OpenTelemetry")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the command line decides, except logging."""

    web: WebSettings = field(default_factory=WebSettings)
    collectors: CollectorSettings = field(default_factory=CollectorSettings)
    paths: Paths = field(default_factory=Paths)
    otlp: Destination | None = None
