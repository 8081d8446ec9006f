"""The components of a native stack: what each is, how it starts, and the address that says that it is healthy."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop.stack import otlp
from perfloop.stack.alertmanager_version import EVENT_RECORDER, EVENT_RECORDER_FLAG, read_version
from perfloop.stack.remote_write import STORE, find_interval
from perfloop_base.traces import PLACE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfloop.stack.settings import Settings

THRESHOLDS = "prometheus/thresholds.yml"
OBJECTIVES_FILE = "prometheus/slos.yml"
SCALING_FILE = "prometheus/scaling.yml"
PRICES_FILE = "prometheus/prices.yml"
REPORTS_FILE = "prometheus/reports.yml"
READING_FILE = "prometheus/reading.flags"
TRACES_LINK = "PERFLOOP_TRACES_LINK"
ALERTMANAGERS = ("alertmanager", "alertmanager_2")
PROMETHEUS_PAIR = ("prometheus", "prometheus_2")
READ_URL = "PERFLOOP_READ_URL"
# What an Alertmanager that is killed forgets of what it sent is what came after the last second.
NOTIFICATION_LOG_FLAG = "--data.maintenance-interval=1s"
# What is asked of the long-term store.
STORE_QUERY_FLAGS = (
    # A sample is there within a second or two of its scrape (batch_send_deadline); by default half a minute is hidden.
    "-search.latencyOffset=5s",
    # What comes late, after an outage of the store, is as old as Prometheus's write-ahead log at most: nothing that is
    # younger is kept in the cache of results, where the gap would stay.
    "-search.cacheTimestampOffset=3h",
)
STORE_INSERT_FLAGS = ("-maxLabelsPerTimeseries=60",)
ALERT_FLAGS = (
    # An Alertmanager that was restarted knows within 15 seconds what fires, with or without the inbox; four times as
    # long after the last word of Prometheus it takes an alert to be over, unless the inbox repeats it.
    "--rules.alert.resend-delay=15s",
    # An alert that fired when Prometheus was killed fires again at once: not only where it must hold for ten minutes.
    "--rules.alert.for-grace-period=5s",
)


@dataclass(frozen=True, slots=True)
class Component:
    """One program of the stack.

    Attributes:
        name: its name in `perfloop status`, in logs and in Compose.
        command: its command line.
        port: the name of the port of its page.
        health: the path that answers 200 when the component is healthy.
        wave: components start wave by wave; the next wave waits until this one is healthy.
        environment: variables it needs beside those it inherits.
        extra_ports: names of further ports that it listens on.
    """

    name: str
    command: tuple[str, ...]
    port: str
    health: str = "/-/ready"
    wave: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    extra_ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One row of `perfloop status`. `since` is ISO 8601 in UTC, empty when the component does not run."""

    name: str
    state: str
    healthy: bool
    url: str
    restarts: int
    since: str


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    # -P: a directory of the user's own that is named like a library must not be imported in its place.
    return (sys.executable, "-P", "-m", name, *arguments)


def _address(settings: Settings, name: str) -> str:
    return f"127.0.0.1:{settings.ports[name]}"


def _listen(settings: Settings, name: str) -> str:
    return f"--web.listen-address={_address(settings, name)}"


def _links(settings: Settings, *, demo: bool, grafana: bool) -> list[str]:
    """Return the flags by which the analyzer knows where a browser reaches what the stack runs."""
    names = ["alertmanager", "analyzer", "exporter", "inbox", "prometheus"]
    names += ["demo", "loadgen"] if demo else []
    names += ["grafana"] if grafana else []
    links = [f"--link={name}={settings.url(name)}" for name in sorted(names)]
    # Empty where no traces are kept: no link.
    return [*links, f"--link=traces={settings.traces_url}"]


def _analyzer(settings: Settings, thresholds: Path, links: list[str]) -> Component:
    return Component(
        "analyzer",
        _module(
            "perfloop_analyzer",
            "run",
            _listen(settings, "analyzer"),
            f"--store.url=sqlite:///{settings.home / 'analyzer' / 'analyzer.sqlite'}",
            f"--thresholds.file={thresholds}",
            f"--slos.file={settings.configuration / OBJECTIVES_FILE}",
            *_scaling_flag(settings.configuration / SCALING_FILE),
            # Nobody has prices at first: the file is read once it is there.
            f"--prices.file={settings.configuration / PRICES_FILE}",
            *_report_flags(settings),
            f"--web.token-file={settings.home / 'analyzer' / 'token'}",
            "--interval=10s",
            *links,
            *_reading_flags(settings.configuration / READING_FILE),
        ),
        "analyzer",
        wave=3,
        environment={READ_URL: settings.read_url},
    )


def _own_components(settings: Settings, links: list[str]) -> list[Component]:
    # The copy that `up` has checked: a file that is half written is not read, and every component changes together.
    thresholds = settings.home / "etc" / THRESHOLDS
    exporter = Component(
        "exporter",
        _module(
            "perfloop_exporter",
            _listen(settings, "exporter"),
            f"--thresholds.file={thresholds}",
            # Off by default, as in node_exporter: on one machine they cost a few milliseconds.
            "--collector.processes",
            "--collector.tcpstat",
        ),
        "exporter",
    )
    inbox = Component(
        "inbox",
        _module(
            "perfloop_inbox",
            _listen(settings, "inbox"),
            f"--smtp.listen-address={_address(settings, 'inbox_smtp')}",
            f"--prometheus.url=http://{_address(settings, 'prometheus')}",
            *(f"--alertmanager.url=http://{_address(settings, name)}" for name in _alertmanager_names(settings)),
            f"--state.dir={settings.home / 'inbox'}",
        ),
        "inbox",
        extra_ports=("inbox_smtp",),
    )
    return [exporter, inbox, _analyzer(settings, thresholds, links)]


def _report_flags(settings: Settings) -> list[str]:
    """Return what the analyzer needs to make reports on a schedule and to send them as the alerts are sent."""
    return [
        f"--reports.file={settings.configuration / REPORTS_FILE}",
        # Alertmanager's own copies: what `up` has checked.
        f"--reports.secrets-dir={settings.home / 'etc' / 'alertmanager' / 'secrets'}",
        f"--alertmanager.url=http://{_address(settings, 'alertmanager')}",
        f"--inbox.url=http://{_address(settings, 'inbox')}",
        f"--inbox.smtp={_address(settings, 'inbox_smtp')}",
    ]


def _reading_flags(path: Path) -> list[str]:
    """Return the argument that stands for a file of flags: how a Prometheus that wants to know who asks is read."""
    return [f"@{path}"] if path.is_file() else []


def _scaling_flag(path: Path) -> list[str]:
    """Return the analyzer's flag; a configuration that was written before the file existed goes on without it."""
    return [f"--scaling.file={path}"] if path.is_file() else []


def _demo_components(settings: Settings) -> list[Component]:
    service = Component(
        "demo",
        _module("perfloop_demo.service", _listen(settings, "demo"), f"--data.dir={settings.home / 'demo'}"),
        "demo",
    )
    steady = Component(
        "loadgen",
        _module(
            "perfloop_loadgen",
            "run",
            str(settings.configuration / "demo" / "steady.yml"),
            f"--url=http://{_address(settings, 'demo')}",
            _listen(settings, "loadgen"),
        ),
        "loadgen",
        wave=3,
    )
    return [service, steady]


def _prometheus(settings: Settings, binary: Path, name: str) -> Component:
    """Return one Prometheus; the second of a pair has a configuration and data of its own."""
    return Component(
        name,
        (
            str(binary),
            f"--config.file={settings.home / 'etc' / 'prometheus' / f'{name}.yml'}",
            f"--storage.tsdb.path={settings.home / name}",
            f"--storage.tsdb.retention.time={settings.retention_time}",
            f"--storage.tsdb.retention.size={settings.retention_size}",
            f"--web.listen-address={_address(settings, name)}",
            f"--web.external-url=http://{_address(settings, name)}",
            f"--web.user-assets={settings.configuration / 'prometheus' / 'runbook'}",
            "--enable-feature=exemplar-storage",
            *(otlp.FLAGS if settings.otlp and name == PROMETHEUS_PAIR[0] else ()),
            *ALERT_FLAGS,
        ),
        name,
        wave=2,
    )


def prometheus_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the Prometheus that a stack has: one, or a pair that writes to the long-term store."""
    return PROMETHEUS_PAIR if settings.scale else PROMETHEUS_PAIR[:1]


def read_interval(settings: Settings) -> str:
    """Return the shortest scrape interval of the configuration, as it is written there."""
    committed = settings.configuration / "prometheus" / "prometheus.yml"
    return find_interval(committed.read_text(encoding="utf-8"))


def _store(settings: Settings, binary: Path) -> Component:
    """Return the long-term store: VictoriaMetrics as one program."""
    return Component(
        STORE,
        (
            str(binary),
            f"-storageDataPath={settings.home / STORE}",
            f"-httpListenAddr={_address(settings, STORE)}",
            f"-retentionPeriod={settings.long_retention}",
            f"-dedup.minScrapeInterval={read_interval(settings)}",
            *STORE_QUERY_FLAGS,
            *STORE_INSERT_FLAGS,
            # Beside everything else on the machine; by default it is 60 %.
            "-memory.allowedPercent=20",
        ),
        STORE,
        health="/health",
    )


def _alertmanagers(settings: Settings, binary: Path) -> list[Component]:
    """Return one Alertmanager, or a cluster of two that gossip, so that none notifies twice."""
    names = _alertmanager_names(settings)
    clustered = len(names) > 1
    version = read_version(binary)
    features = (EVENT_RECORDER_FLAG,) if version is not None and version >= EVENT_RECORDER else ()
    return [
        Component(
            name,
            (
                str(binary),
                f"--config.file={settings.home / 'etc' / 'alertmanager' / 'alertmanager.yml'}",
                f"--storage.path={settings.home / name}",
                NOTIFICATION_LOG_FLAG,
                f"--web.listen-address={_address(settings, name)}",
                f"--web.external-url=http://{_address(settings, name)}",
                *(_gossip(settings, name, names) if clustered else ["--cluster.listen-address="]),
                *features,
            ),
            name,
            extra_ports=(f"{name}_cluster",) if clustered else (),
        )
        for name in names
    ]


def _alertmanager_names(settings: Settings) -> tuple[str, ...]:
    return ALERTMANAGERS[: settings.alertmanagers]


def _gossip(settings: Settings, name: str, names: tuple[str, ...]) -> list[str]:
    peers = [f"--cluster.peer={_address(settings, f'{other}_cluster')}" for other in names if other != name]
    return [f"--cluster.listen-address={_address(settings, f'{name}_cluster')}", *peers]


def link_of_exemplars(traces_url: str) -> str:
    """Return where an exemplar of a graph leads to, with Grafana's own reference to its trace id; empty for nowhere."""
    if not traces_url:
        return ""
    return (traces_url if PLACE in traces_url else f"{traces_url}/trace/{PLACE}").replace(PLACE, "${__value.raw}")


def _grafana(settings: Settings, binary: Path) -> Component:
    data = settings.home / "grafana"
    server = () if binary.name == "grafana-server" else ("server",)
    root = next((parent for parent in binary.resolve().parents if (parent / "conf" / "defaults.ini").exists()), None)
    homepath = (f"--homepath={root}",) if root else ()
    return Component(
        "grafana",
        (str(binary), *server, *homepath),
        "grafana",
        health="/api/health",
        environment={
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(
                settings.configuration / "grafana" / "dashboards" / "overview.json"
            ),
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_PATHS_DATA": str(data),
            "GF_PATHS_LOGS": str(data / "log"),
            "GF_PATHS_PLUGINS": str(data / "plugins"),
            "GF_PATHS_PROVISIONING": str(settings.home / "etc" / "grafana"),
            "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
            # Grafana's own reader of files: `…__FILE` is known to the entry point of its image alone.
            "GF_SECURITY_ADMIN_PASSWORD": f"$__file{{{data / 'admin-password'}}}",
            "GF_SECURITY_DISABLE_GRAVATAR": "true",
            "GF_SERVER_HTTP_ADDR": "127.0.0.1",
            "GF_SERVER_HTTP_PORT": str(settings.ports["grafana"]),
            "GF_USERS_ALLOW_SIGN_UP": "false",
            READ_URL: settings.read_url,  # the provisioned data source names this variable, and the next
            TRACES_LINK: link_of_exemplars(settings.traces_url),
        },
    )


def build_components(settings: Settings, binaries: Mapping[str, Path], *, demo: bool) -> list[Component]:
    """Return the components in the order of their waves.

    Args:
        settings: where the stack lives and listens.
        binaries: the path of `prometheus` and `alertmanager`, of `victoriametrics` for a long-term store, and of
            `grafana` where there is one.
        demo: whether the demo service and its steady load are among them.
    """
    components = _own_components(settings, _links(settings, demo=demo, grafana="grafana" in binaries))
    components += _demo_components(settings) if demo else []
    components += [_prometheus(settings, binaries["prometheus"], name) for name in prometheus_names(settings)]
    components += _alertmanagers(settings, binaries["alertmanager"])
    components += [_store(settings, binaries[STORE])] if settings.scale else []
    components += [_grafana(settings, binaries["grafana"])] if "grafana" in binaries else []
    return sorted(components, key=lambda component: component.wave)
